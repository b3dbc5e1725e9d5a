//! Data of a READ that was signed in the same pass that copied it from the page cache, before its header was known. The
//! header's share is added when the answer ends.

use super::Ctx;
use crate::crypto::{Part, SigningKey};
use crate::sys::source::Source;
use std::sync::Arc;

/// What the answer is going to be protected by.
pub struct Protect(Arc<SigningKey>);

/// See the module.
pub struct Taken {
    pub by: Arc<SigningKey>,
    pub part: Part,
}

impl Protect {
    /// Of the answer to this request. None: by nothing, or by what does not take a message in parts.
    pub fn of(ctx: &Ctx<'_>) -> Option<Protect> {
        if ctx.sealed || !ctx.signed || ctx.sign.is_some() {
            return None;
        }
        let key = ctx.session.as_ref()?.signing_key(ctx.conn.id)?;
        key.takes_part().then_some(Protect(key))
    }

    /// Copies `from` to `to`, which ends the message.
    pub fn take(self, from: Source<'_>, to: &mut [u8]) -> Option<Taken> {
        self.0.copy(from, to).map(|part| Taken { by: self.0, part })
    }
}
