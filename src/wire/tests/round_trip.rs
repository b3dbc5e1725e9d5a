//! What is encoded decodes to the same value, for any value of every message.

use proptest::prelude::*;

use super::super::change_notify::*;
use super::super::close::*;
use super::super::codec::Writer;
use super::super::compression::{CompressionPayload, CompressionTransform};
use super::super::create::*;
use super::super::create_context::{self, *};
use super::super::error::*;
use super::super::flush::*;
use super::super::fscc::FileInfoClass;
use super::super::fscc::file_info::FileStatus;
use super::super::header::{Command, Header, HeaderFlags, TransformHeader};
use super::super::ioctl::*;
use super::super::lock::*;
use super::super::negotiate::*;
use super::super::negotiate_context::*;
use super::super::oplock_break::*;
use super::super::query_directory::*;
use super::super::query_info::*;
use super::super::rdma::{Channel, RdmaCryptoTransform, RdmaTransform, RdmaTransformType};
use super::super::read::*;
use super::super::session_setup::*;
use super::super::set_info::*;
use super::super::tree_connect::*;
use super::super::write::*;
use super::{Reader, body, message};
use crate::types::*;

/// Encodes into a message, decodes, compares.
macro_rules! same {
    ($name:ident $(<$life:lifetime>)?, $value:expr) => {{
        let m;
        let value: $name $(<$life>)? = $value;
        m = message(|w| value.encode(w));
        let got = $name::decode(&mut body(&m));
        prop_assert_eq!(got.as_ref(), Ok(&value));
    }};
}

/// The same for what has no header before it.
macro_rules! same_part {
    ($name:ident $(<$life:lifetime>)?, $value:expr) => {{
        let mut m = Vec::new();
        let value: $name $(<$life>)? = $value;
        value.encode(&mut Writer::new(&mut m));
        let got = $name::decode(&mut Reader::new(&m));
        prop_assert_eq!(got.as_ref(), Ok(&value));
    }};
}

macro_rules! same_payload {
    ($name:ident $(<$life:lifetime>)?, $value:expr) => {{
        let mut m = Vec::new();
        let value: $name $(<$life>)? = $value;
        value.encode(&mut Writer::new(&mut m));
        let got = $name::decode(&m);
        prop_assert_eq!(got.as_ref(), Ok(&value));
    }};
}

macro_rules! same_context {
    ($name:ident $(<$life:lifetime>)?, $value:expr) => {{
        let value: $name $(<$life>)? = $value;
        let context = value.to_context();
        let got = $name::decode(&context.data);
        prop_assert_eq!(got.as_ref(), Ok(&value));
    }};
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200)
}

fn few() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..20)
}

fn ids() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(any::<u16>(), 0..12)
}

fn file_id((persistent, volatile): (u64, u64)) -> FileId {
    FileId { persistent, volatile }
}

type Status = (u64, u64, u64, u64, u64, u64, u32);

fn file_status(t: Status) -> FileStatus {
    FileStatus {
        creation_time: FileTime(t.0),
        last_access_time: FileTime(t.1),
        last_write_time: FileTime(t.2),
        change_time: FileTime(t.3),
        allocation_size: t.4,
        end_of_file: t.5,
        file_attributes: FileAttributes::from_bits_retain(t.6),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn header(
        a in any::<(u16, u32, u16, u16, u32, u32, u64)>(),
        id in any::<u64>(), session_id in any::<u64>(), signature in any::<[u8; 16]>(),
    ) {
        let flags = HeaderFlags::from_bits_retain(a.4);
        let is_async = flags.contains(HeaderFlags::ASYNC);
        same_part!(Header, Header {
            credit_charge: a.0,
            status: a.1,
            command: Command(a.2),
            credits: a.3,
            flags,
            next_command: a.5,
            message_id: MessageId(a.6),
            tree_id: TreeId(if is_async { 0 } else { id as u32 }),
            async_id: AsyncId(if is_async { id } else { 0 }),
            session_id: SessionId(session_id),
            signature,
        });
    }

    #[test]
    fn transform_header(signature in any::<[u8; 16]>(), nonce in any::<[u8; 16]>(), a in any::<(u32, u16, u64)>()) {
        same_part!(TransformHeader, TransformHeader {
            signature, nonce, original_message_size: a.0, flags: a.1, session_id: SessionId(a.2),
        });
    }

    #[test]
    fn negotiate(
        a in any::<(u16, u32, [u8; 16])>(), dialects in ids(), is_311 in any::<bool>(),
        b in any::<(u32, u32, u32, u64, u64)>(), token in bytes(),
        lists in (ids(), ids(), ids(), ids(), ids()), salt in few(), name in ".{0,20}", flags in any::<(u32, u32)>(),
        unknown in (0x101u16.., few()),
    ) {
        let mut dialects: Vec<_> = dialects.into_iter().map(Dialect).filter(|d| *d != Dialect::SMB3_11).collect();
        let mut contexts = Vec::new();
        if is_311 {
            dialects.push(Dialect::SMB3_11);
            contexts = vec![
                NegotiateContext::PreauthIntegrity {
                    hash_algorithms: lists.0.into_iter().map(HashAlgorithm).collect(), salt: &salt,
                },
                NegotiateContext::Encryption { ciphers: lists.1.into_iter().map(CipherId).collect() },
                NegotiateContext::Compression {
                    flags: flags.0,
                    compression_algorithms: lists.2.into_iter().map(CompressionAlgorithm).collect(),
                },
                NegotiateContext::Unknown { context_type: ContextType(unknown.0), data: &unknown.1 },
                NegotiateContext::Netname { net_name: name },
                NegotiateContext::Transport { flags: flags.1 },
                NegotiateContext::RdmaTransform {
                    rdma_transform_ids: lists.3.into_iter().map(RdmaTransformId).collect(),
                },
                NegotiateContext::Signing {
                    signing_algorithms: lists.4.into_iter().map(SigningAlgorithmId).collect(),
                },
            ];
        }
        same!(NegotiateRequest<'_>, NegotiateRequest {
            security_mode: SecurityMode::from_bits_retain(a.0),
            capabilities: Capabilities::from_bits_retain(a.1),
            client_guid: Guid(a.2),
            dialects: dialects.iter().copied().collect(),
            negotiate_contexts: contexts.clone(),
        });
        same!(NegotiateResponse<'_>, NegotiateResponse {
            security_mode: SecurityMode::from_bits_retain(a.0),
            dialect_revision: dialects.last().copied().unwrap_or(Dialect::WILDCARD),
            server_guid: Guid(a.2),
            capabilities: Capabilities::from_bits_retain(a.1),
            max_transact_size: b.0,
            max_read_size: b.1,
            max_write_size: b.2,
            system_time: FileTime(b.3),
            server_start_time: FileTime(b.4),
            security_buffer: &token,
            negotiate_contexts: contexts,
        });
    }

    #[test]
    fn session_setup(a in any::<(u8, u8, u32, u64, u16)>(), token in bytes()) {
        same!(SessionSetupRequest<'_>, SessionSetupRequest {
            flags: SessionSetupFlags::from_bits_retain(a.0),
            security_mode: SecurityMode::from_bits_retain(u16::from(a.1)),
            capabilities: Capabilities::from_bits_retain(a.2),
            previous_session_id: SessionId(a.3),
            security_buffer: &token,
        });
        same!(SessionSetupResponse<'_>, SessionSetupResponse {
            session_flags: SessionFlags::from_bits_retain(a.4), security_buffer: &token,
        });
    }

    #[test]
    fn tree_connect(flags in any::<u16>(), path in ".{0,60}", a in any::<(u8, u32, u32, u32)>()) {
        same!(TreeConnectRequest, TreeConnectRequest { flags: TreeConnectFlags::from_bits_retain(flags), path });
        same!(TreeConnectResponse, TreeConnectResponse {
            share_type: ShareType(a.0),
            share_flags: ShareFlags::from_bits_retain(a.1),
            capabilities: ShareCapabilities::from_bits_retain(a.2),
            maximal_access: AccessMask::from_bits_retain(a.3),
        });
    }

    #[test]
    fn create(
        a in any::<(u8, u32, u32, u32, u32, u32, u32)>(), name in ".{0,60}",
        contexts in prop::collection::vec((prop::collection::vec(any::<u8>(), 4..20), bytes()), 0..6),
        b in any::<(u8, u32)>(), t in any::<Status>(), id in any::<(u64, u64)>(),
    ) {
        let list = || contexts.iter().map(|(name, data)| CreateContext::borrowed(name, data));
        same!(CreateRequest<'_>, CreateRequest {
            requested_oplock_level: OplockLevel(a.0),
            impersonation_level: ImpersonationLevel(a.1),
            desired_access: AccessMask::from_bits_retain(a.2),
            file_attributes: FileAttributes::from_bits_retain(a.3),
            share_access: ShareAccess::from_bits_retain(a.4),
            create_disposition: CreateDisposition(a.5),
            create_options: CreateOptions::from_bits_retain(a.6),
            name,
            create_contexts: list().collect(),
        });
        same!(CreateResponse<'_>, CreateResponse {
            oplock_level: OplockLevel(a.0),
            flags: CreateResponseFlags::from_bits_retain(b.0),
            create_action: CreateAction(b.1),
            status: file_status(t),
            file_id: file_id(id),
            create_contexts: list().collect(),
        });
        let (mut m, contexts) = (Vec::new(), list().collect::<Vec<_>>());
        create_context::encode_list(&mut Writer::new(&mut m), &contexts);
        prop_assert_eq!(create_context::decode_list(&m).unwrap(), contexts);
    }

    #[test]
    fn create_context_data(
        a in any::<(u64, u64, u32, u32)>(), b in any::<([u8; 16], [u8; 16], u16)>(), timestamp in any::<Option<u64>>(),
    ) {
        same_context!(MaximalAccessRequest, MaximalAccessRequest { timestamp: timestamp.map(FileTime) });
        same_context!(MaximalAccessResponse, MaximalAccessResponse {
            query_status: NtStatus(a.2), maximal_access: AccessMask::from_bits_retain(a.3),
        });
        same_context!(QueryOnDiskIdResponse, QueryOnDiskIdResponse { file_id: a.0, volume_id: a.1 });
        same_context!(AllocationSize, AllocationSize { allocation_size: a.0 });
        same_context!(TimewarpToken, TimewarpToken { timestamp: FileTime(a.0) });
        same_context!(DurableHandleRequest, DurableHandleRequest);
        same_context!(DurableHandleResponse, DurableHandleResponse);
        same_context!(DurableHandleReconnect, DurableHandleReconnect { file_id: file_id((a.0, a.1)) });
        let flags = DurableHandleFlags::from_bits_retain(a.3);
        same_context!(DurableHandleRequestV2, DurableHandleRequestV2 { timeout: a.2, flags, create_guid: Guid(b.0) });
        same_context!(DurableHandleResponseV2, DurableHandleResponseV2 { timeout: a.2, flags });
        same_context!(DurableHandleReconnectV2, DurableHandleReconnectV2 {
            file_id: file_id((a.0, a.1)), create_guid: Guid(b.0), flags,
        });
        same_context!(AppInstanceId, AppInstanceId { app_instance_id: Guid(b.0) });
        same_context!(AppInstanceVersion, AppInstanceVersion {
            app_instance_version_high: a.0, app_instance_version_low: a.1,
        });
        let (lease_key, lease_state) = (LeaseKey(b.0), LeaseState::from_bits_retain(a.2));
        let flags = LeaseFlags::from_bits_retain(a.3);
        same_context!(Lease, Lease::V1 { lease_key, lease_state, lease_flags: flags });
        same_context!(Lease, Lease::V2 { lease_key, lease_state, flags, parent_lease_key: LeaseKey(b.1), epoch: b.2 });
    }

    #[test]
    fn close_and_flush(flags in any::<u16>(), id in any::<(u64, u64)>(), t in any::<Status>()) {
        let flags = CloseFlags::from_bits_retain(flags);
        same!(CloseRequest, CloseRequest { flags, file_id: file_id(id) });
        same!(CloseResponse, CloseResponse {
            flags,
            status: file_status(t),
        });
        same!(FlushRequest, FlushRequest { file_id: file_id(id) });
    }

    #[test]
    fn read(
        a in any::<(u8, u8, u32, u64, u32, u32)>(), id in any::<(u64, u64)>(), channel in 0u32..5, info in few(),
        flags in any::<u32>(), data in bytes(),
    ) {
        let channel = Channel(channel);
        same!(ReadRequest<'_>, ReadRequest {
            padding: a.0,
            flags: ReadFlags::from_bits_retain(a.1),
            length: a.2,
            offset: a.3,
            file_id: file_id(id),
            minimum_count: a.4,
            channel,
            remaining_bytes: a.5,
            read_channel_info: if channel.has_info() { &info } else { &[] },
        });
        same!(ReadResponse<'_>, ReadResponse { data_remaining: a.2, flags, data: &data });
    }

    #[test]
    fn write(
        a in any::<(u64, u32, u32, u32)>(), id in any::<(u64, u64)>(), channel in 0u32..5, info in few(), data in bytes(),
    ) {
        let channel = Channel(channel);
        same!(WriteRequest<'_>, WriteRequest {
            offset: a.0,
            file_id: file_id(id),
            channel,
            remaining_bytes: a.1,
            write_channel_info: if channel.has_info() { &info } else { &[] },
            flags: WriteFlags::from_bits_retain(a.2),
            data: &data,
        });
        same!(WriteResponse, WriteResponse { count: a.2, remaining: a.3 });
    }

    #[test]
    fn lock(
        number in 0u8..16, index in 0u32..1 << 28, id in any::<(u64, u64)>(),
        locks in prop::collection::vec(any::<(u64, u64, u32)>(), 0..6),
    ) {
        same!(LockRequest, LockRequest {
            lock_sequence_number: number,
            lock_sequence_index: index,
            file_id: file_id(id),
            locks: locks
                .into_iter()
                .map(|(offset, length, flags)| LockElement { offset, length, flags: LockFlags::from_bits_retain(flags) })
                .collect(),
        });
    }

    #[test]
    fn ioctl(a in any::<(u32, u32, u32, u32)>(), id in any::<(u64, u64)>(), input in bytes(), output in bytes()) {
        let (ctl_code, file_id) = (CtlCode(a.0), file_id(id));
        same!(IoctlRequest<'_>, IoctlRequest {
            ctl_code,
            file_id,
            max_input_response: a.1,
            max_output_response: a.2,
            flags: IoctlFlags::from_bits_retain(a.3),
            input: &input,
        });
        same!(IoctlResponse<'_>, IoctlResponse { ctl_code, file_id, input: &input, output: &output });
    }

    #[test]
    fn ioctl_payloads(
        a in any::<(u32, u16, u16, u32, u32)>(), guid in any::<[u8; 16]>(), dialects in ids(), key in any::<[u8; 24]>(),
        chunks in prop::collection::vec(any::<(u64, u64, u32)>(), 0..10),
        interfaces in prop::collection::vec(any::<(u32, u32, u64, std::net::IpAddr)>(), 0..4),
    ) {
        let (capabilities, guid) = (Capabilities::from_bits_retain(a.0), Guid(guid));
        let security_mode = SecurityMode::from_bits_retain(a.1);
        same_payload!(ValidateNegotiateInfoRequest, ValidateNegotiateInfoRequest {
            capabilities, guid, security_mode, dialects: dialects.into_iter().map(Dialect).collect(),
        });
        same_payload!(ValidateNegotiateInfoResponse, ValidateNegotiateInfoResponse {
            capabilities, guid, security_mode, dialect: Dialect(a.2),
        });
        same_payload!(NetworkResiliencyRequest, NetworkResiliencyRequest { timeout: a.0 });
        same_payload!(SrvCopychunkResponse, SrvCopychunkResponse {
            chunks_written: a.0, chunk_bytes_written: a.3, total_bytes_written: a.4,
        });
        same_payload!(SrvRequestResumeKeyResponse, SrvRequestResumeKeyResponse { resume_key: key });
        same_payload!(SrvCopychunkCopy, SrvCopychunkCopy {
            source_key: key,
            chunks: chunks
                .into_iter()
                .map(|(source_offset, target_offset, length)| SrvCopychunk { source_offset, target_offset, length })
                .collect(),
        });
        let list: Vec<_> = interfaces
            .into_iter()
            .map(|(if_index, capability, link_speed, address)| NetworkInterfaceInfo {
                if_index, capability: InterfaceCapability::from_bits_retain(capability), link_speed, address,
            })
            .collect();
        let mut m = Vec::new();
        NetworkInterfaceInfo::encode_list(&list, &mut Writer::new(&mut m));
        prop_assert_eq!(NetworkInterfaceInfo::decode_list(&m), Ok(list));
    }

    #[test]
    fn query_directory_and_change_notify(
        a in any::<(u8, u8, u32, u32, u16, u32)>(), id in any::<(u64, u64)>(), pattern in ".{0,30}", buffer in bytes(),
    ) {
        same!(QueryDirectoryRequest, QueryDirectoryRequest {
            file_information_class: FileInfoClass(a.0),
            flags: QueryDirectoryFlags::from_bits_retain(a.1),
            file_index: a.2,
            file_id: file_id(id),
            output_buffer_length: a.3,
            file_name: pattern,
        });
        same!(QueryDirectoryResponse<'_>, QueryDirectoryResponse { buffer: &buffer });
        same!(ChangeNotifyRequest, ChangeNotifyRequest {
            flags: ChangeNotifyFlags::from_bits_retain(a.4),
            output_buffer_length: a.3,
            file_id: file_id(id),
            completion_filter: CompletionFilter::from_bits_retain(a.5),
        });
        same!(ChangeNotifyResponse<'_>, ChangeNotifyResponse { buffer: &buffer });
    }

    #[test]
    fn query_and_set_info(a in any::<(u8, u8, u32, u32, u32)>(), id in any::<(u64, u64)>(), buffer in bytes()) {
        same!(QueryInfoRequest<'_>, QueryInfoRequest {
            info_type: InfoType(a.0),
            file_info_class: a.1,
            output_buffer_length: a.2,
            additional_information: a.3,
            flags: QueryInfoFlags::from_bits_retain(a.4),
            file_id: file_id(id),
            input_buffer: &buffer,
        });
        same!(QueryInfoResponse<'_>, QueryInfoResponse { buffer: &buffer });
        same!(SetInfoRequest<'_>, SetInfoRequest {
            info_type: InfoType(a.0),
            file_info_class: a.1,
            additional_information: a.3,
            file_id: file_id(id),
            buffer: &buffer,
        });
        same!(SetInfoResponse, SetInfoResponse);
    }

    #[test]
    fn oplock_break(a in any::<(u8, u16, u32, u32, u32)>(), id in any::<(u64, u64)>(), key in any::<[u8; 16]>()) {
        let lease_key = LeaseKey(key);
        let (current, new) = (LeaseState::from_bits_retain(a.3), LeaseState::from_bits_retain(a.4));
        for value in [
            OplockBreakMessage::Oplock(OplockBreak { oplock_level: OplockLevel(a.0), file_id: file_id(id) }),
            OplockBreakMessage::Lease(LeaseBreakAck { lease_key, lease_state: new }),
            OplockBreakMessage::LeaseNotification(LeaseBreakNotification {
                new_epoch: a.1,
                flags: LeaseBreakFlags::from_bits_retain(a.2),
                lease_key,
                current_lease_state: current,
                new_lease_state: new,
            }),
        ] {
            same!(OplockBreakMessage, value);
        }
    }

    #[test]
    fn error(
        contexts in prop::collection::vec((any::<u32>(), few()), 0..4), data in few(),
        link in (any::<u16>(), any::<bool>(), ".{0,30}", ".{0,30}"),
    ) {
        same!(ErrorResponse<'_>, ErrorResponse {
            contexts: contexts
                .iter()
                .map(|(id, data)| ErrorContext { error_id: ErrorId(*id), error_context_data: data })
                .collect(),
            data: if contexts.is_empty() { &data } else { &[] },
        });
        same_part!(SymlinkErrorResponse, SymlinkErrorResponse {
            unparsed_path_length: link.0, relative: link.1, substitute_name: link.2, print_name: link.3,
        });
    }

    #[test]
    fn compression(
        size in any::<u32>(), algorithm in 0u16..6, head in few(), tail in bytes(),
        payloads in prop::collection::vec((0u16..6, any::<u32>(), few()), 1..5),
    ) {
        let value = CompressionTransform::Unchained {
            original_compressed_segment_size: size,
            compression_algorithm: CompressionAlgorithm(algorithm),
            uncompressed: &head,
            compressed: &tail,
        };
        same_payload!(CompressionTransform<'_>, value);
        let value = CompressionTransform::Chained {
            original_compressed_segment_size: size,
            payloads: payloads
                .iter()
                .enumerate()
                .map(|(i, (algorithm, size, data))| CompressionPayload {
                    compression_algorithm: CompressionAlgorithm(*algorithm),
                    flags: u16::from(i == 0),
                    original_payload_size: (![0, 4].contains(algorithm)).then_some(*size),
                    data,
                })
                .collect(),
        };
        same_payload!(CompressionTransform<'_>, value);
    }

    #[test]
    fn rdma_transform(
        channel in any::<u32>(), descriptors in few(),
        transforms in prop::collection::vec((any::<u16>(), few(), few()), 0..4),
    ) {
        same_part!(RdmaTransform<'_>, RdmaTransform {
            channel: Channel(channel),
            rdma_descriptors: &descriptors,
            transforms: transforms
                .iter()
                .map(|(kind, signature, nonce)| RdmaCryptoTransform {
                    transform_type: RdmaTransformType(*kind), signature, nonce,
                })
                .collect(),
        });
    }
}
