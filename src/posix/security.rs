//! Security descriptors from mode and POSIX ACL, and what the user may do.

use super::{Export, Object, RelPath, Result};
use crate::types::AccessMask;

impl Export {
    /// What the identity this thread has assumed may do, of the bits in `wanted` (`MAXIMUM_ALLOWED` or
    /// `FILE_ALL`: everything there is). `path` is asked for the rights of the directory above (DELETE).
    pub fn granted(&self, _object: &Object, _path: &RelPath, _wanted: AccessMask) -> Result<AccessMask> {
        unreachable!()
    }
}
