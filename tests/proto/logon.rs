//! SESSION_SETUP and LOGOFF (MS-SMB2 3.3.5.5, 3.3.5.6).

use smbgate::auth::client::{NtlmClient, Quirks};
use smbgate::types::{NtStatus, SessionId};
use smbgate::wire::logoff::LogoffRequest;
use smbgate::wire::session_setup::SessionSetupRequest;

use crate::client::Offer;
use crate::common::{PASSWORD, Server, USER};

fn with(quirks: Quirks) -> NtlmClient {
    NtlmClient::new("WORKGROUP", USER, PASSWORD).with_quirks(quirks)
}

/// Each on a connection of its own, since refusals are held back.
fn logon(server: &Server, client: NtlmClient) -> Result<SessionId, NtStatus> {
    let mut c = server.connect();
    c.negotiate(&Offer::default());
    c.logon_as(client, SessionSetupRequest::default())
}

#[test]
fn good_clients_get_in() {
    let server = Server::plain();
    for (what, quirks) in [
        ("plain", Quirks::default()),
        ("bare NTLMSSP", Quirks { raw: true, ..Quirks::default() }),
        ("without key exchange", Quirks { no_key_exchange: true, ..Quirks::default() }),
        // The Linux kernel's client sends none.
        ("no MIC", Quirks { no_mic: true, ..Quirks::default() }),
        ("another mechanism first", Quirks { other_mech_first: true, ..Quirks::default() }),
    ] {
        assert!(logon(&server, with(quirks)).is_ok(), "{what}");
    }
}

#[test]
fn user_names_are_not_case_sensitive_but_passwords_are() {
    let server = Server::plain();
    assert!(logon(&server, NtlmClient::new("anything", &USER.to_uppercase(), PASSWORD)).is_ok());
    let wrong = NtlmClient::new("WORKGROUP", USER, &PASSWORD.to_uppercase());
    assert_eq!(logon(&server, wrong), Err(NtStatus::LOGON_FAILURE));
}

#[test]
fn bad_clients_do_not() {
    let server = Server::plain();
    for (what, quirks) in [
        ("wrong proof", Quirks { bad_proof: true, ..Quirks::default() }),
        ("wrong MIC", Quirks { bad_mic: true, ..Quirks::default() }),
        ("wrong mechListMIC", Quirks { bad_mech_list_mic: true, ..Quirks::default() }),
        ("NTLMv1", Quirks { ntlm_v1: true, ..Quirks::default() }),
    ] {
        assert!(logon(&server, with(quirks)).is_err(), "{what}");
    }
    assert_eq!(logon(&server, NtlmClient::new("", "no-such-user", PASSWORD)), Err(NtStatus::LOGON_FAILURE));
    assert!(logon(&server, NtlmClient::new("", "", "")).is_err(), "anonymous");
}

#[test]
fn logging_off_ends_the_session() {
    let server = Server::plain();
    let mut c = server.client();
    let file = c.make("left open").unwrap();
    assert_eq!(c.call(&LogoffRequest).status(), NtStatus::SUCCESS);
    assert_eq!(c.close(file), NtStatus::USER_SESSION_DELETED);
    assert_eq!(c.echo(), NtStatus::USER_SESSION_DELETED);
    c.logon(USER, PASSWORD).unwrap();
    c.tree_connect("share").unwrap();
    assert_eq!(c.close(file), NtStatus::FILE_CLOSED);
}

#[test]
fn one_connection_carries_several_sessions() {
    let server = Server::plain();
    let mut c = server.client();
    let (first, tree) = (c.session, c.tree);
    let file = c.make("file").unwrap();
    let second = c.logon(USER, PASSWORD).unwrap();
    assert_ne!(first, second);
    assert_eq!(c.close(file), NtStatus::NETWORK_NAME_DELETED, "the tree of another session");
    c.tree_connect("share").unwrap();
    assert_eq!(c.close(file), NtStatus::FILE_CLOSED, "the file of another session");
    (c.session, c.tree) = (first, tree);
    assert_eq!(c.close(file), NtStatus::SUCCESS);
}

#[test]
fn a_session_of_another_connection_is_unknown() {
    let server = Server::plain();
    let (first, mut second) = (server.client(), server.client());
    second.session = first.session;
    assert_eq!(second.echo(), NtStatus::USER_SESSION_DELETED);
}

#[test]
fn a_new_session_replaces_the_previous_one() {
    let server = Server::plain();
    let mut old = server.client();
    let file = old.make("file").unwrap();
    let mut new = server.connect();
    new.negotiate(&Offer::default());
    let base = SessionSetupRequest { previous_session_id: old.session, ..SessionSetupRequest::default() };
    new.logon_as(NtlmClient::new("", USER, PASSWORD), base).unwrap();
    assert_eq!(old.close(file), NtStatus::USER_SESSION_DELETED);
}

#[test]
fn an_unknown_share_and_a_strange_path_are_refused() {
    let server = Server::plain();
    let mut c = server.client();
    assert_eq!(c.tree_connect("nowhere"), Err(NtStatus::BAD_NETWORK_NAME));
    assert!(c.tree_connect("SHARE").is_ok(), "share names are not case sensitive");
    assert!(c.tree_connect("IPC$").is_ok());
}
