//! The SMB2 header (MS-SMB2 2.2.1) and the header of a sealed message (2.2.41).

use super::codec::{DecodeError, Reader, Result, Writer};
use crate::types::{AsyncId, MessageId, NtStatus, SessionId, TreeId, open_enum};

/// Bytes of the SMB2 header.
pub const LEN: usize = 64;

/// `FE 'S' 'M' 'B'`.
pub const PROTOCOL_ID: [u8; 4] = [0xFE, b'S', b'M', b'B'];

/// Where the fields stand, for those that are written late.
pub mod offset {
    use std::ops::Range;

    pub const CREDIT_CHARGE: usize = 6;
    pub const STATUS: usize = 8;
    pub const COMMAND: usize = 12;
    pub const CREDITS: usize = 14;
    pub const FLAGS: usize = 16;
    pub const NEXT_COMMAND: usize = 20;
    pub const MESSAGE_ID: usize = 24;
    pub const ASYNC_ID: usize = 32;
    pub const TREE_ID: usize = 36;
    pub const SESSION_ID: usize = 40;
    pub const SIGNATURE: Range<usize> = 48..64;
}

open_enum! {
    /// MS-SMB2 2.2.1.2 Command.
    pub struct Command(u16) {
        NEGOTIATE = 0x0000,
        SESSION_SETUP = 0x0001,
        LOGOFF = 0x0002,
        TREE_CONNECT = 0x0003,
        TREE_DISCONNECT = 0x0004,
        CREATE = 0x0005,
        CLOSE = 0x0006,
        FLUSH = 0x0007,
        READ = 0x0008,
        WRITE = 0x0009,
        LOCK = 0x000A,
        IOCTL = 0x000B,
        CANCEL = 0x000C,
        ECHO = 0x000D,
        QUERY_DIRECTORY = 0x000E,
        CHANGE_NOTIFY = 0x000F,
        QUERY_INFO = 0x0010,
        SET_INFO = 0x0011,
        OPLOCK_BREAK = 0x0012,
        SERVER_TO_CLIENT_NOTIFICATION = 0x0013,
    }
}

impl Command {
    /// Where the FileId of a request of this kind stands, from its header.
    pub const fn file_id_at(self) -> Option<usize> {
        Some(match self {
            Command::CLOSE
            | Command::FLUSH
            | Command::LOCK
            | Command::IOCTL
            | Command::QUERY_DIRECTORY
            | Command::CHANGE_NOTIFY
            | Command::OPLOCK_BREAK => LEN + 8,
            Command::READ | Command::WRITE | Command::SET_INFO => LEN + 16,
            Command::QUERY_INFO => LEN + 24,
            _ => return None,
        })
    }
}

bitflags::bitflags! {
    /// MS-SMB2 2.2.1.2 Flags.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct HeaderFlags: u32 {
        /// SERVER_TO_REDIR: a response.
        const RESPONSE = 0x0000_0001;
        const ASYNC = 0x0000_0002;
        /// RELATED_OPERATIONS.
        const RELATED = 0x0000_0004;
        const SIGNED = 0x0000_0008;
        const PRIORITY_MASK = 0x0000_0070;
        const DFS = 0x1000_0000;
        const REPLAY = 0x2000_0000;
        const _ = !0;
    }
}

/// Both forms of the header. With `HeaderFlags::ASYNC` it carries `async_id` and `tree_id` is zero;
/// without, it is the other way round.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    pub credit_charge: u16,
    /// In a request of SMB 3.x: ChannelSequence in the low half.
    pub status: u32,
    pub command: Command,
    /// CreditRequest or CreditResponse.
    pub credits: u16,
    pub flags: HeaderFlags,
    pub next_command: u32,
    pub message_id: MessageId,
    pub tree_id: TreeId,
    pub async_id: AsyncId,
    pub session_id: SessionId,
    pub signature: [u8; 16],
}

impl Header {
    /// Checks ProtocolId and StructureSize.
    #[inline]
    pub fn decode(r: &mut Reader<'_>) -> Result<Header> {
        const WHAT: &str = "header";
        let mut f = Reader::new(r.bytes(LEN, WHAT)?);
        if f.array(WHAT)? != PROTOCOL_ID {
            return Err(DecodeError::new("ProtocolId"));
        }
        if f.u16(WHAT)? != LEN as u16 {
            return Err(DecodeError::new("header StructureSize"));
        }
        let mut h = Header {
            credit_charge: f.u16(WHAT)?,
            status: f.u32(WHAT)?,
            command: Command(f.u16(WHAT)?),
            credits: f.u16(WHAT)?,
            flags: HeaderFlags::from_bits_retain(f.u32(WHAT)?),
            next_command: f.u32(WHAT)?,
            message_id: MessageId(f.u64(WHAT)?),
            ..Header::default()
        };
        let id = f.u64(WHAT)?;
        if h.flags.contains(HeaderFlags::ASYNC) {
            h.async_id = AsyncId(id);
        } else {
            h.tree_id = TreeId((id >> 32) as u32);
        }
        h.session_id = SessionId(f.u64(WHAT)?);
        h.signature = f.array(WHAT)?;
        Ok(h)
    }

    #[inline]
    pub fn encode(&self, w: &mut Writer<'_>) {
        let id = if self.flags.contains(HeaderFlags::ASYNC) {
            self.async_id.0
        } else {
            u64::from(self.tree_id.0) << 32
        };
        let mut b = [0u8; LEN];
        b[..4].copy_from_slice(&PROTOCOL_ID);
        b[4..6].copy_from_slice(&(LEN as u16).to_le_bytes());
        b[6..8].copy_from_slice(&self.credit_charge.to_le_bytes());
        b[8..12].copy_from_slice(&self.status.to_le_bytes());
        b[12..14].copy_from_slice(&self.command.0.to_le_bytes());
        b[14..16].copy_from_slice(&self.credits.to_le_bytes());
        b[16..20].copy_from_slice(&self.flags.bits().to_le_bytes());
        b[20..24].copy_from_slice(&self.next_command.to_le_bytes());
        b[24..32].copy_from_slice(&self.message_id.0.to_le_bytes());
        b[32..40].copy_from_slice(&id.to_le_bytes());
        b[40..48].copy_from_slice(&self.session_id.0.to_le_bytes());
        b[48..64].copy_from_slice(&self.signature);
        w.bytes(&b);
    }

    /// ChannelSequence of a request of SMB 3.x (MS-SMB2 2.2.1.2).
    pub const fn channel_sequence(&self) -> u16 {
        self.status as u16
    }

    /// Status of a response.
    pub const fn nt_status(&self) -> NtStatus {
        NtStatus(self.status)
    }
}

/// MS-SMB2 2.2.41 SMB2 TRANSFORM_HEADER. The sealed message follows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TransformHeader {
    pub signature: [u8; 16],
    /// The cipher uses the first 11 (CCM) or 12 (GCM) bytes.
    pub nonce: [u8; 16],
    /// Bytes of the sealed message.
    pub original_message_size: u32,
    /// In 3.1.1 Flags, 1: encrypted. In 3.0 and 3.0.2 EncryptionAlgorithm, 1: AES-128-CCM.
    pub flags: u16,
    pub session_id: SessionId,
}

impl TransformHeader {
    /// Bytes of the header.
    pub const LEN: usize = 52;
    /// `FD 'S' 'M' 'B'`.
    pub const PROTOCOL_ID: [u8; 4] = [0xFD, b'S', b'M', b'B'];
    /// The only value of `flags`.
    pub const ENCRYPTED: u16 = 1;
    /// The part of the header that is authenticated with the message.
    pub const AUTHENTICATED: std::ops::Range<usize> = 20..52;

    pub fn decode(r: &mut Reader<'_>) -> Result<TransformHeader> {
        const WHAT: &str = "transform header";
        let mut f = Reader::new(r.bytes(TransformHeader::LEN, WHAT)?);
        if f.array(WHAT)? != TransformHeader::PROTOCOL_ID {
            return Err(DecodeError::new(WHAT));
        }
        let (signature, nonce, original_message_size) = (f.array(WHAT)?, f.array(WHAT)?, f.u32(WHAT)?);
        f.skip(2, WHAT)?;
        Ok(TransformHeader {
            signature,
            nonce,
            original_message_size,
            flags: f.u16(WHAT)?,
            session_id: SessionId(f.u64(WHAT)?),
        })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(&self.to_bytes());
    }

    /// The header as it stands on the wire.
    pub fn to_bytes(&self) -> [u8; TransformHeader::LEN] {
        let mut b = [0; TransformHeader::LEN];
        b[..4].copy_from_slice(&TransformHeader::PROTOCOL_ID);
        b[4..20].copy_from_slice(&self.signature);
        b[20..36].copy_from_slice(&self.nonce);
        b[36..40].copy_from_slice(&self.original_message_size.to_le_bytes());
        b[42..44].copy_from_slice(&self.flags.to_le_bytes());
        b[44..52].copy_from_slice(&self.session_id.0.to_le_bytes());
        b
    }
}
