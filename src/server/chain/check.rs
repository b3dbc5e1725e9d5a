//! What is looked at before a handler is called: signature, session, tree (MS-SMB2 3.3.5.2).

use super::{Chain, Checked};
use crate::crypto::Sender;
use crate::server::dispatch::{Needs, Row};
use crate::session::Open;
use crate::types::NtStatus;
use crate::wire::codec::Reader;
use crate::wire::header::{Command, Header, HeaderFlags};
use std::sync::Arc;

impl Chain {
    /// The open that a request names.
    pub(super) fn named(&self, header: &Header, message: &[u8]) -> Option<Arc<Open>> {
        let id = Reader::at(message, header.command.file_id_at()?).file_id("FileId").ok()?;
        self.gate.opens.get(id)
    }

    /// MS-SMB2 3.3.5.2.4 (signature), 3.3.5.2.9 (session), 3.3.5.2.11 (tree), 3.3.5.2.7.2 (related).
    pub(super) fn check(
        &self,
        row: &Row,
        header: &Header,
        message: &mut [u8],
    ) -> Result<Checked, (NtStatus, Checked)> {
        let related = header.flags.contains(HeaderFlags::RELATED);
        let mut checked = Checked { session: None, tree: None, signed: false, open: None };
        if related && !self.first {
            checked.session = self.before.session.clone();
            checked.tree = self.before.tree.clone();
        } else if header.session_id.0 != 0 {
            checked.session = self.gate.sessions.get(header.session_id);
        }
        let reached = checked.session.as_ref().is_some_and(|s| s.has_channel(self.conn.id));
        if let Some(session) = checked.session.as_ref().filter(|_| reached && self.sealed.is_none())
            && header.flags.contains(HeaderFlags::SIGNED)
        {
            let held = session.signing_key(self.conn.id).map(|key| key.verify(message, Sender::Client));
            match held {
                Some(true) => checked.signed = true,
                Some(false) => return Err((NtStatus::ACCESS_DENIED, checked)),
                // Nothing to sign with: a guest. The flag says nothing then.
                None => {}
            }
        }
        let lacks_session = row.needs >= Needs::Session && checked.session.is_none();
        if related && (self.first || lacks_session) {
            return Err((NtStatus::INVALID_PARAMETER, checked));
        }
        if row.needs == Needs::Nothing && header.command != Command::ECHO {
            return Ok(checked);
        }
        let Some(session) = &checked.session else {
            // ECHO needs none, but if it names one it must be there (3.3.5.17).
            if row.needs == Needs::Nothing && header.session_id.0 == 0 {
                return Ok(checked);
            }
            return Err((NtStatus::USER_SESSION_DELETED, checked));
        };
        if !reached || !session.is_valid() {
            checked.session = None;
            return Err((NtStatus::USER_SESSION_DELETED, checked));
        }
        if let Some(sealed) = &self.sealed {
            // What came sealed by one session is not for another.
            if sealed.id != session.id {
                return Err((NtStatus::ACCESS_DENIED, checked));
            }
        } else if let Some(security) = session.security() {
            let unsigned = security.signing_required && !checked.signed;
            if security.encrypt || unsigned {
                return Err((NtStatus::ACCESS_DENIED, checked));
            }
        }
        if session.is_expired() && !row.when_expired {
            return Err((NtStatus::NETWORK_SESSION_EXPIRED, checked));
        }
        if row.needs == Needs::Tree {
            if !related {
                checked.tree = session.tree(header.tree_id);
            }
            match &checked.tree {
                None if related => return Err((NtStatus::INVALID_PARAMETER, checked)),
                None => return Err((NtStatus::NETWORK_NAME_DELETED, checked)),
                Some(tree) if tree.is_gone() => return Err((NtStatus::NETWORK_NAME_DELETED, checked)),
                Some(tree) if tree.encrypt && self.sealed.is_none() => {
                    return Err((NtStatus::ACCESS_DENIED, checked));
                }
                Some(_) => {}
            }
        }
        Ok(checked)
    }
}
