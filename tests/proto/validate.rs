//! FSCTL_VALIDATE_NEGOTIATE_INFO (MS-SMB2 3.3.5.15.12): whoever changed the negotiation is found out.

use smbgate::types::{Dialect, FileId, Guid};
use smbgate::wire::codec::Writer;
use smbgate::wire::ioctl::{CtlCode, ValidateNegotiateInfoRequest, ValidateNegotiateInfoResponse};

use crate::client::{Client, Offer, fsctl};
use crate::common::Server;

/// What a client of this offer has to send.
fn truth(offer: &Offer) -> ValidateNegotiateInfoRequest {
    let request = offer.request();
    ValidateNegotiateInfoRequest {
        capabilities: request.capabilities,
        guid: request.client_guid,
        security_mode: request.security_mode,
        dialects: request.dialects,
    }
}

fn bytes(request: &ValidateNegotiateInfoRequest) -> Vec<u8> {
    let mut out = Vec::new();
    request.encode(&mut Writer::new(&mut out));
    out
}

fn offers() -> Vec<Offer> {
    let up_to = |n: usize| Offer { dialects: Dialect::ALL[..n].to_vec(), ..Offer::default() };
    vec![up_to(2), up_to(3), up_to(4)]
}

#[test]
fn the_truth_is_confirmed() {
    let server = Server::plain();
    for offer in offers() {
        let mut c = server.client_with(&offer);
        let output =
            c.ioctl(CtlCode::VALIDATE_NEGOTIATE_INFO, FileId::RELATED, &bytes(&truth(&offer))).unwrap();
        let answer = ValidateNegotiateInfoResponse::decode(&output).unwrap();
        let n = &c.negotiated;
        assert_eq!(
            (answer.dialect, answer.capabilities, answer.guid, answer.security_mode),
            (n.dialect, n.capabilities, n.server_guid, n.security_mode)
        );
    }
}

fn drops(c: &mut Client, claim: &ValidateNegotiateInfoRequest) -> bool {
    c.send(&fsctl(CtlCode::VALIDATE_NEGOTIATE_INFO, FileId::RELATED, &bytes(claim)));
    c.is_dropped()
}

#[test]
fn any_difference_ends_the_connection() {
    let server = Server::plain();
    let offer = &offers()[2];
    type Change = fn(&mut ValidateNegotiateInfoRequest);
    let changes: [(&str, Change); 5] = [
        ("dialects", |r| r.dialects.truncate(2)),
        ("no dialect", |r| r.dialects.clear()),
        ("guid", |r| r.guid = Guid([9; 16])),
        ("security mode", |r| r.security_mode = smbgate::wire::negotiate::SecurityMode::SIGNING_REQUIRED),
        ("capabilities", |r| r.capabilities.toggle(smbgate::wire::negotiate::Capabilities::LEASING)),
    ];
    for (what, change) in changes {
        let mut claim = truth(offer);
        change(&mut claim);
        assert!(drops(&mut server.client_with(offer), &claim), "{what}");
    }
}

#[test]
fn in_311_the_question_itself_ends_the_connection() {
    let server = Server::plain();
    let offer = Offer::default();
    assert!(drops(&mut server.client_with(&offer), &truth(&offer)));
}
