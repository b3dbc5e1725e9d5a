//! Symlinks on disk as a client sees them.

use std::os::unix::fs::symlink;

use smbgate::types::{AccessMask, CreateDisposition, CreateOptions, Dialect, NtStatus};
use smbgate::wire::codec::Reader;
use smbgate::wire::error::{ErrorResponse, SymlinkErrorResponse};

use crate::client::{Offer, create};
use crate::common::Server;

fn stopped(target: &str, relative: bool) -> SymlinkErrorResponse {
    SymlinkErrorResponse {
        unparsed_path_length: 0,
        relative,
        substitute_name: target.into(),
        print_name: target.into(),
    }
}

#[test]
fn a_link_that_is_not_followed_tells_where_it_leads() {
    let server = Server::plain();
    for (name, target) in [("out", "/etc/passwd"), ("up", "../../x"), ("loop", "loop"), ("nowhere", "none")] {
        symlink(target, server.path("share").join(name)).unwrap();
    }
    for dialect in [Dialect::SMB2_10, Dialect::SMB3_11] {
        let mut c = server.client_with(&Offer::dialect(dialect));
        let mut open = |name: &str, options| {
            c.call(&create(name, AccessMask::FILE_READ, CreateDisposition::OPEN, options))
        };
        for (name, target) in [
            ("OUT", stopped("\\etc\\passwd", false)),
            ("up", stopped("..\\..\\x", true)),
            ("loop", stopped("loop", true)),
            ("nowhere", stopped("none", true)),
        ] {
            let reply = open(name, CreateOptions::empty());
            assert_eq!(reply.status(), NtStatus::STOPPED_ON_SYMLINK, "{name}");
            let error = ErrorResponse::decode(&mut reply.reader()).unwrap();
            let said = SymlinkErrorResponse::decode(&mut Reader::new(error.error_data())).unwrap();
            assert_eq!(said, target, "{name}");
            assert_eq!(open(name, CreateOptions::OPEN_REPARSE_POINT).status(), NtStatus::SUCCESS);
        }
        assert_eq!(open("out\\x", CreateOptions::empty()).status(), NtStatus::ACCESS_DENIED);
    }
}
