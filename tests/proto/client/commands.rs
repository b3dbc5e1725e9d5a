//! One call for one exchange: what the tests do most.

use smbgate::types::{
    AccessMask, CreateDisposition, CreateOptions, FileAttributes, FileId, NtStatus, OplockLevel, ShareAccess,
    TreeId,
};
use smbgate::wire::close::CloseRequest;
use smbgate::wire::create::{CreateAction, CreateRequest, CreateResponse, ImpersonationLevel};
use smbgate::wire::create_context::{Lease, find, name};
use smbgate::wire::echo::EchoRequest;
use smbgate::wire::flush::FlushRequest;
use smbgate::wire::fscc::FileInfoClass;
use smbgate::wire::ioctl::{CtlCode, IoctlFlags, IoctlRequest, IoctlResponse};
use smbgate::wire::query_directory::{QueryDirectoryFlags, QueryDirectoryRequest, QueryDirectoryResponse};
use smbgate::wire::query_info::{InfoType, QueryInfoRequest, QueryInfoResponse};
use smbgate::wire::read::{ReadRequest, ReadResponse};
use smbgate::wire::tree_connect::{TreeConnectRequest, TreeConnectResponse};
use smbgate::wire::tree_disconnect::TreeDisconnectRequest;
use smbgate::wire::write::{WriteRequest, WriteResponse};

use super::request::Request;
use super::{Client, Reply};

/// What an open led to.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    pub file_id: FileId,
    pub action: CreateAction,
    pub end_of_file: u64,
    pub attributes: FileAttributes,
    pub oplock: OplockLevel,
    /// Milliseconds that the handle survives its connection; None: it does not. DHnQ does not tell: zero.
    pub durable: Option<u32>,
    /// SMB2_DHANDLE_FLAG_PERSISTENT.
    pub persistent: bool,
    pub lease: Option<Lease>,
}

/// An open that shares everything.
pub fn create(
    name: &str,
    access: AccessMask,
    disposition: CreateDisposition,
    options: CreateOptions,
) -> CreateRequest<'static> {
    CreateRequest {
        impersonation_level: ImpersonationLevel::IMPERSONATION,
        desired_access: access,
        share_access: ShareAccess::READ | ShareAccess::WRITE | ShareAccess::DELETE,
        create_disposition: disposition,
        create_options: options,
        name: name.to_owned(),
        ..CreateRequest::default()
    }
}

impl Client {
    /// Sends a request and waits for its final answer.
    pub fn call<R: Request>(&mut self, request: &R) -> Reply {
        let id = self.send(request);
        self.wait(id)
    }

    pub fn echo(&mut self) -> NtStatus {
        self.call(&EchoRequest).status()
    }

    /// The share becomes the current tree; one that wants encryption turns it on.
    pub fn tree_connect(&mut self, share: &str) -> Result<TreeId, NtStatus> {
        let path = format!(r"\\127.0.0.1\{share}");
        let reply = self.call(&TreeConnectRequest { path, ..TreeConnectRequest::default() }).ok()?;
        let answer = TreeConnectResponse::decode(&mut reply.reader()).expect("TREE_CONNECT answer");
        if answer.share_flags.contains(smbgate::wire::tree_connect::ShareFlags::ENCRYPT_DATA) {
            self.seal = true;
        }
        self.tree = reply.header.tree_id;
        Ok(self.tree)
    }

    pub fn tree_disconnect(&mut self) -> NtStatus {
        self.call(&TreeDisconnectRequest).status()
    }

    pub fn create(&mut self, request: &CreateRequest<'_>) -> Result<Opened, NtStatus> {
        self.call(request).opened()
    }

    /// Opens an existing file to read.
    pub fn open(&mut self, name: &str) -> Result<FileId, NtStatus> {
        let request = create(name, AccessMask::FILE_READ, CreateDisposition::OPEN, CreateOptions::empty());
        self.create(&request).map(|o| o.file_id)
    }

    /// Opens or makes a file, to read and write.
    pub fn make(&mut self, name: &str) -> Result<FileId, NtStatus> {
        let options = CreateOptions::NON_DIRECTORY_FILE;
        let access = AccessMask::FILE_READ | AccessMask::FILE_WRITE | AccessMask::DELETE;
        self.create(&create(name, access, CreateDisposition::OPEN_IF, options)).map(|o| o.file_id)
    }

    /// Opens or makes a directory.
    pub fn make_directory(&mut self, name: &str) -> Result<FileId, NtStatus> {
        let options = CreateOptions::DIRECTORY_FILE;
        self.create(&create(name, AccessMask::FILE_ALL, CreateDisposition::OPEN_IF, options))
            .map(|o| o.file_id)
    }

    pub fn close(&mut self, file_id: FileId) -> NtStatus {
        self.call(&CloseRequest { file_id, ..CloseRequest::default() }).status()
    }

    pub fn flush(&mut self, file_id: FileId) -> NtStatus {
        self.call(&FlushRequest { file_id }).status()
    }

    pub fn read(&mut self, file_id: FileId, offset: u64, length: u32) -> Result<Vec<u8>, NtStatus> {
        let reply = self.call(&ReadRequest { file_id, offset, length, ..ReadRequest::default() }).ok()?;
        Ok(ReadResponse::decode(&mut reply.reader()).expect("READ answer").data.to_vec())
    }

    pub fn write(&mut self, file_id: FileId, offset: u64, data: &[u8]) -> Result<u32, NtStatus> {
        let reply = self.call(&WriteRequest { file_id, offset, data, ..WriteRequest::default() }).ok()?;
        Ok(WriteResponse::decode(&mut reply.reader()).expect("WRITE answer").count)
    }

    pub fn query_file(&mut self, file_id: FileId, class: u8) -> Result<Vec<u8>, NtStatus> {
        let request = QueryInfoRequest {
            info_type: InfoType::FILE,
            file_info_class: class,
            output_buffer_length: 65536,
            file_id,
            ..QueryInfoRequest::default()
        };
        let reply = self.call(&request).ok()?;
        Ok(QueryInfoResponse::decode(&mut reply.reader()).expect("QUERY_INFO answer").buffer.to_vec())
    }

    /// One buffer of a listing, by the given class.
    pub fn query_directory(
        &mut self,
        file_id: FileId,
        class: u8,
        pattern: &str,
        flags: QueryDirectoryFlags,
        length: u32,
    ) -> Result<Vec<u8>, NtStatus> {
        let request = QueryDirectoryRequest {
            file_information_class: FileInfoClass(class),
            flags,
            file_id,
            output_buffer_length: length,
            file_name: pattern.to_owned(),
            ..QueryDirectoryRequest::default()
        };
        let reply = self.call(&request).ok()?;
        Ok(QueryDirectoryResponse::decode(&mut reply.reader())
            .expect("QUERY_DIRECTORY answer")
            .buffer
            .to_vec())
    }

    pub fn ioctl(&mut self, ctl_code: CtlCode, file_id: FileId, input: &[u8]) -> Result<Vec<u8>, NtStatus> {
        let reply = self.call(&fsctl(ctl_code, file_id, input)).ok()?;
        Ok(IoctlResponse::decode(&mut reply.reader()).expect("IOCTL answer").output.to_vec())
    }
}

pub fn fsctl(ctl_code: CtlCode, file_id: FileId, input: &[u8]) -> IoctlRequest<'_> {
    IoctlRequest {
        ctl_code,
        file_id,
        max_output_response: 65536,
        flags: IoctlFlags::IS_FSCTL,
        input,
        ..IoctlRequest::default()
    }
}

fn durable(answer: &CreateResponse<'_>) -> Option<u32> {
    let first = find(&answer.create_contexts, name::DURABLE_HANDLE_REQUEST).map(|_| 0);
    let second = find(&answer.create_contexts, name::DURABLE_HANDLE_REQUEST_V2)
        .map(|data| u32::from_le_bytes(data[..4].try_into().expect("four bytes")));
    first.or(second)
}

impl Reply {
    /// The answer to CREATE.
    pub fn opened(self) -> Result<Opened, NtStatus> {
        let reply = self.ok()?;
        let answer = CreateResponse::decode(&mut reply.reader()).expect("CREATE answer");
        Ok(Opened {
            file_id: answer.file_id,
            action: answer.create_action,
            end_of_file: answer.status.end_of_file,
            attributes: answer.status.file_attributes,
            oplock: answer.oplock_level,
            durable: durable(&answer),
            persistent: find(&answer.create_contexts, name::DURABLE_HANDLE_REQUEST_V2)
                .is_some_and(|data| data[4] & 2 != 0),
            lease: find(&answer.create_contexts, name::REQUEST_LEASE)
                .map(|data| Lease::decode(data).expect("RqLs")),
        })
    }
}

/// The names in a listing whose entries have NextEntryOffset first; `name_at` is where the class has FileName, with
/// its length in the four bytes at `length_at`.
pub fn listed(mut buffer: &[u8], length_at: usize, name_at: usize) -> Vec<String> {
    let word =
        |b: &[u8], at: usize| u32::from_le_bytes(b[at..at + 4].try_into().expect("four bytes")) as usize;
    let mut names = Vec::new();
    while !buffer.is_empty() {
        let name = &buffer[name_at..name_at + word(buffer, length_at)];
        names.push(smbgate::wire::codec::decode_utf16(name, "file name").expect("a name"));
        match word(buffer, 0) {
            0 => break,
            next => buffer = &buffer[next..],
        }
    }
    names
}
