//! Data of a READ that was signed or sealed in the same pass that copied it from the page cache, before its header was
//! known. The header's share is added when the answer ends.

use super::Ctx;
use crate::crypto::{Part, SigningKey};
use crate::session::{Security, Session};
use crate::sys::source::Source;
use crate::types::SessionId;
use std::sync::Arc;

/// What the answer is going to be protected by.
pub enum Protect {
    Sign(Arc<SigningKey>),
    Seal(Arc<Session>),
}

/// See the module.
pub enum Taken {
    /// The data stands in the answer as it is.
    Signed(Arc<SigningKey>, Part),
    /// The data is sealed, with this nonce.
    Sealed(SessionId, [u8; 16], Part),
}

impl Protect {
    /// Of the answer to this request. None: by nothing, or by what does not take a message in parts.
    pub fn of(ctx: &Ctx<'_>) -> Option<Protect> {
        let session = ctx.session.as_ref()?;
        if ctx.sealed {
            let key = session.security()?.server_out.as_ref()?;
            return key.takes_part().then(|| Protect::Seal(Arc::clone(session)));
        }
        if !ctx.signed || ctx.sign.is_some() {
            return None;
        }
        session.signing_key(ctx.conn.id).filter(|key| key.takes_part()).map(Protect::Sign)
    }

    /// Copies `from` to `to`, which stands `at` bytes behind the beginning of the SMB2 header, and ends the message.
    pub fn take(self, at: usize, from: Source<'_>, to: &mut [u8]) -> Option<Taken> {
        match self {
            Protect::Sign(key) => key.copy(from, to).map(|part| Taken::Signed(key, part)),
            Protect::Seal(session) => {
                let Security { server_out, nonces, .. } = session.security()?;
                let nonce = nonces.next()?;
                let part = server_out.as_ref()?.seal_copy(nonce, at, from, to)?;
                Some(Taken::Sealed(session.id, nonce, part))
            }
        }
    }
}
