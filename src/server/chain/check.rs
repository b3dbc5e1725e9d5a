//! What is looked at before a handler is called: signature, session, tree (MS-SMB2 3.3.5.2).

use super::{Chain, Checked, Underway};
use crate::crypto::Sender;
use crate::server::dispatch::{Needs, Row};
use crate::session::Sequenced;
use crate::types::{Dialect, FileId, NtStatus};
use crate::wire::codec::Reader;
use crate::wire::header::{Command, Header, HeaderFlags};

impl Chain {
    /// The open that a request names, and with it MS-SMB2 3.3.5.2.10 (channel sequence).
    fn named(
        &self,
        header: &Header,
        message: &[u8],
        checked: &Checked,
    ) -> Result<Option<Underway>, NtStatus> {
        let Some(at) = header.command.file_id_at() else { return Ok(None) };
        let Ok(id) = Reader::at(message, at).file_id("FileId") else { return Ok(None) };
        let id = match self.before.file {
            Some(Ok(before)) if id == FileId::RELATED && header.flags.contains(HeaderFlags::RELATED) => {
                before
            }
            _ => id,
        };
        let (Some(session), Some(tree)) = (&checked.session, &checked.tree) else { return Ok(None) };
        let Some(open) = self.gate.opens.get(id).filter(|open| open.is_of(session.id, tree.id)) else {
            return Ok(None);
        };
        let changes = matches!(header.command, Command::WRITE | Command::SET_INFO | Command::IOCTL);
        if changes {
            self.gate.keeper.used(&open);
        }
        if !self.conn.dialect().is_some_and(Dialect::is_smb3) {
            return Ok(Some(Underway { open, counted: None }));
        }
        let request = Sequenced {
            number: header.channel_sequence(),
            replay: header.flags.contains(HeaderFlags::REPLAY),
            changes,
        };
        let counts = open.sequence.begin(request)?;
        Ok(Some(Underway { open, counted: counts.then_some(request.number) }))
    }

    /// MS-SMB2 3.3.5.2.4 (signature), 3.3.5.2.9 (session), 3.3.5.2.11 (tree), 3.3.5.2.7.2 (related).
    pub(super) fn check(
        &self,
        row: &Row,
        header: &Header,
        message: &mut [u8],
    ) -> Result<Checked, (NtStatus, Checked)> {
        let related = header.flags.contains(HeaderFlags::RELATED);
        let mut checked = Checked::default();
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
            match self.named(header, message, &checked) {
                Ok(open) => checked.open = open,
                Err(status) => return Err((status, checked)),
            }
        }
        Ok(checked)
    }
}
