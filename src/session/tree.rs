//! TreeConnect (MS-SMB2 3.3.1.9).

use super::share::{ActsAs, Disk, Share};
use crate::auth::Identity;
use crate::fsa::access::Token;
use crate::types::{AccessMask, NtStatus, TreeId};
use crate::wire::dtyp::Sid;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug)]
pub struct TreeConnect {
    pub id: TreeId,
    pub share: Arc<Share>,
    /// Who acts on the disk for this session here.
    pub identity: Arc<Identity>,
    /// What the share's own rules allow at most.
    pub maximal_access: AccessMask,
    /// Unencrypted requests are refused.
    pub encrypt: bool,
    /// `identity` before security descriptors.
    pub token: Token,
    gone: AtomicBool,
}

impl TreeConnect {
    pub fn new(
        id: TreeId,
        share: Arc<Share>,
        identity: Arc<Identity>,
        maximal_access: AccessMask,
        encrypt: bool,
        authenticated: bool,
    ) -> TreeConnect {
        let mut token = Token::new(identity.uid, identity.gid, Arc::clone(&identity.groups), authenticated);
        let owned = share.disk().is_some_and(|disk| matches!(disk.acts_as, ActsAs::Owner(_)));
        if owned || !Identity::may_change() {
            token = token.of_everybody();
        }
        TreeConnect { id, share, identity, maximal_access, encrypt, token, gone: AtomicBool::new(false) }
    }

    /// Whoever connects is these accounts of domains as well.
    pub fn known_as(self, sids: &Arc<[Sid]>) -> TreeConnect {
        TreeConnect { token: self.token.with(Arc::clone(sids)), ..self }
    }

    pub fn disk(&self) -> Result<&Disk, NtStatus> {
        self.share.disk().ok_or(NtStatus::INVALID_DEVICE_REQUEST)
    }

    pub fn read_only(&self) -> bool {
        !self.maximal_access.intersects(AccessMask::WRITE_DATA)
    }

    /// Disconnected: an open that comes in now from a worker must not stay.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub fn set_gone(&self) {
        self.gone.store(true, Ordering::Release);
    }
}
