//! TREE_CONNECT (MS-SMB2 2.2.9, 2.2.10).

use super::codec::{Reader, Result, Writer, utf16_len};
use crate::types::{AccessMask, open_enum};

bitflags::bitflags! {
    /// MS-SMB2 2.2.9 Flags (3.1.1 only).
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct TreeConnectFlags: u16 {
        const CLUSTER_RECONNECT = 1;
        const REDIRECT_TO_OWNER = 2;
        const EXTENSION_PRESENT = 4;
        const _ = !0;
    }

    /// MS-SMB2 2.2.10 ShareFlags. The two caching bits are a value: manual (0), auto, VDO, none.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct ShareFlags: u32 {
        const AUTO_CACHING = 0x0000_0010;
        const VDO_CACHING = 0x0000_0020;
        const NO_CACHING = 0x0000_0030;
        const DFS = 0x0000_0001;
        const DFS_ROOT = 0x0000_0002;
        const RESTRICT_EXCLUSIVE_OPENS = 0x0000_0100;
        const FORCE_SHARED_DELETE = 0x0000_0200;
        const ALLOW_NAMESPACE_CACHING = 0x0000_0400;
        const ACCESS_BASED_DIRECTORY_ENUM = 0x0000_0800;
        const FORCE_LEVELII_OPLOCK = 0x0000_1000;
        const ENABLE_HASH_V1 = 0x0000_2000;
        const ENABLE_HASH_V2 = 0x0000_4000;
        const ENCRYPT_DATA = 0x0000_8000;
        const IDENTITY_REMOTING = 0x0004_0000;
        const COMPRESS_DATA = 0x0010_0000;
        const ISOLATED_TRANSPORT = 0x0020_0000;
        const _ = !0;
    }

    /// MS-SMB2 2.2.10 Capabilities.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct ShareCapabilities: u32 {
        const DFS = 0x008;
        const CONTINUOUS_AVAILABILITY = 0x010;
        const SCALEOUT = 0x020;
        const CLUSTER = 0x040;
        const ASYMMETRIC = 0x080;
        const REDIRECT_TO_OWNER = 0x100;
        const _ = !0;
    }
}

open_enum! {
    /// MS-SMB2 2.2.10 ShareType.
    pub struct ShareType(u8) {
        DISK = 1,
        PIPE = 2,
        PRINT = 3,
    }
}

/// MS-SMB2 2.2.9. The extension of 3.1.1 (2.2.9.1) is ignored: PathOffset names the path with it too.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TreeConnectRequest {
    pub flags: TreeConnectFlags,
    /// `\\server\share`.
    pub path: String,
}

impl TreeConnectRequest {
    pub fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "TREE_CONNECT request";
        let mut f = r.body::<8>(9, WHAT)?;
        let flags = TreeConnectFlags::from_bits_retain(f.u16(WHAT)?);
        let (offset, length) = (f.u16(WHAT)?, f.u16(WHAT)?);
        Ok(TreeConnectRequest { flags, path: r.text_at(offset, length, "TREE_CONNECT path")? })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        let at = w.pos();
        w.u16(9);
        w.u16(self.flags.bits());
        w.u16((at + 8) as u16);
        w.u16(utf16_len(&self.path) as u16);
        w.utf16(&self.path);
    }
}

/// MS-SMB2 2.2.10.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TreeConnectResponse {
    pub share_type: ShareType,
    pub share_flags: ShareFlags,
    pub capabilities: ShareCapabilities,
    pub maximal_access: AccessMask,
}

impl TreeConnectResponse {
    pub fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "TREE_CONNECT response";
        let mut f = r.body::<16>(16, WHAT)?;
        let share_type = ShareType(f.u8(WHAT)?);
        f.skip(1, WHAT)?;
        Ok(TreeConnectResponse {
            share_type,
            share_flags: ShareFlags::from_bits_retain(f.u32(WHAT)?),
            capabilities: ShareCapabilities::from_bits_retain(f.u32(WHAT)?),
            maximal_access: AccessMask::from_bits_retain(f.u32(WHAT)?),
        })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u16(16);
        w.u8(self.share_type.0);
        w.u8(0);
        w.u32(self.share_flags.bits());
        w.u32(self.capabilities.bits());
        w.u32(self.maximal_access.bits());
    }
}
