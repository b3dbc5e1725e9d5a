//! The operations. Each is a chain of requests in a slot; as many slots as the depth says go on at once.

use smbgate::types::{
    AccessMask, CreateDisposition, CreateOptions, FileId, Guid, LeaseKey, LeaseState, NtStatus, OplockLevel,
};
use smbgate::wire::close::CloseRequest;
use smbgate::wire::create::CreateRequest;
use smbgate::wire::create_context::{DurableHandleFlags, DurableHandleRequestV2, Lease, LeaseFlags};
use smbgate::wire::fscc::FileInfoClass;
use smbgate::wire::query_directory::{QueryDirectoryFlags, QueryDirectoryRequest, QueryDirectoryResponse};
use smbgate::wire::query_info::{InfoType, QueryInfoRequest};
use smbgate::wire::read::ReadRequest;
use smbgate::wire::write::WriteRequest;

use crate::client::{Client, Reply, create};

/// What `benches/run` lays out on the disk: `big0`..`bigN`, `files/0`..`files/999`, `many/` with `MANY` files,
/// `DEEP`, and an empty `scratch/`.
const BIG: u64 = 256 << 20;
const FILES: u64 = 1000;
const MANY: usize = 10_000;
const DEEP: &str = r"deep\a\b\c\d\e\f\g\h\i\j\k\leaf";

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Name {
    ReadSeq,
    WriteSeq,
    ReadRand,
    WriteRand,
    OpenClose,
    OpenCloseLease,
    OpenCloseDurable,
    OpenClosePersistent,
    CreateDelete,
    List,
    Stat,
    Logon,
    Idle,
    Leases,
}

pub enum Step {
    /// The chain goes on with the answer to this message.
    Next(u64),
    /// It is over, and has moved so many bytes.
    Done(u64),
}

pub trait Load {
    /// Sends the first request of a chain; its message id.
    fn begin(&mut self, c: &mut Client, slot: usize) -> u64;
    fn proceed(&mut self, c: &mut Client, slot: usize, reply: &Reply) -> Step;
}

pub fn start(name: Name, c: &mut Client, index: usize, depth: usize) -> Box<dyn Load> {
    let random = Random(0x9E37_79B9_7F4A_7C15 ^ (index as u64 + 1));
    let mut transfer = |write: bool, random: Option<Random>, size: u32| -> Box<dyn Load> {
        let access = AccessMask::FILE_READ | AccessMask::FILE_WRITE;
        let name = format!("big{index}");
        let open = create(&name, access, CreateDisposition::OPEN, CreateOptions::NON_DIRECTORY_FILE);
        let file = c.create(&open).expect("open").file_id;
        Box::new(Transfer { file, write, random, size, next: 0, data: vec![0x5A; size as usize] })
    };
    match name {
        Name::ReadSeq => transfer(false, None, 1 << 20),
        Name::WriteSeq => transfer(true, None, 1 << 20),
        Name::ReadRand => transfer(false, Some(random), 4096),
        Name::WriteRand => transfer(true, Some(random), 4096),
        Name::OpenClose => Box::new(OpenClose { random, opened: vec![false; depth] }),
        Name::OpenCloseLease => Box::new(Kept::new(random, index, depth, None)),
        Name::OpenCloseDurable => {
            Box::new(Kept::new(random, index, depth, Some(DurableHandleFlags::empty())))
        }
        Name::OpenClosePersistent => {
            Box::new(Kept::new(random, index, depth, Some(DurableHandleFlags::PERSISTENT)))
        }
        Name::CreateDelete => Box::new(CreateDelete {
            index,
            data: vec![0x5A; 4096],
            state: vec![(0, FileId::default()); depth],
        }),
        Name::List => Box::new(List { state: vec![(0, FileId::default()); depth] }),
        Name::Stat => Box::new(Stat),
        Name::Logon | Name::Idle | Name::Leases => unreachable!("has no chain of requests"),
    }
}

/// xorshift64: the same series in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn good(reply: &Reply) {
    assert_eq!(reply.status(), NtStatus::SUCCESS, "{:?}", reply.header);
}

fn opened(reply: &Reply) -> FileId {
    reply.clone().opened().expect("CREATE").file_id
}

/// Reads or writes of one size, in order or anywhere.
struct Transfer {
    file: FileId,
    write: bool,
    random: Option<Random>,
    size: u32,
    next: u64,
    data: Vec<u8>,
}

impl Load for Transfer {
    fn begin(&mut self, c: &mut Client, _: usize) -> u64 {
        let size = u64::from(self.size);
        let offset = match &mut self.random {
            Some(random) => random.below(BIG / size) * size,
            None => {
                self.next = (self.next + size) % BIG;
                self.next
            }
        };
        if self.write {
            c.send(&WriteRequest { offset, file_id: self.file, data: &self.data, ..WriteRequest::default() })
        } else {
            c.send(&ReadRequest { offset, length: self.size, file_id: self.file, ..ReadRequest::default() })
        }
    }

    fn proceed(&mut self, _: &mut Client, _: usize, reply: &Reply) -> Step {
        good(reply);
        assert!(self.write || reply.message.len() > self.size as usize, "a short read");
        Step::Done(u64::from(self.size))
    }
}

struct OpenClose {
    random: Random,
    opened: Vec<bool>,
}

impl Load for OpenClose {
    fn begin(&mut self, c: &mut Client, slot: usize) -> u64 {
        self.opened[slot] = false;
        let name = format!(r"files\{}", self.random.below(FILES));
        c.send(&create(
            &name,
            AccessMask::FILE_READ,
            CreateDisposition::OPEN,
            CreateOptions::NON_DIRECTORY_FILE,
        ))
    }

    fn proceed(&mut self, c: &mut Client, slot: usize, reply: &Reply) -> Step {
        good(reply);
        if self.opened[slot] {
            return Step::Done(0);
        }
        self.opened[slot] = true;
        Step::Next(c.send(&CloseRequest { file_id: opened(reply), ..CloseRequest::default() }))
    }
}

/// Open with a lease, as clients do that ask for handles which survive, and close. No two open a file at a time.
struct Kept {
    random: Random,
    first: u64,
    depth: u64,
    durable: Option<DurableHandleFlags>,
    serial: u64,
    opened: Vec<bool>,
}

/// Files that there are for each slot of each connection, and connections.
const APART: u64 = 4;

impl Kept {
    fn new(random: Random, index: usize, depth: usize, durable: Option<DurableHandleFlags>) -> Kept {
        let depth = depth as u64;
        assert!(depth * APART <= FILES, "too few files");
        Kept {
            random,
            first: index as u64 % APART,
            depth,
            durable,
            serial: 0,
            opened: vec![false; depth as usize],
        }
    }
}

impl Load for Kept {
    fn begin(&mut self, c: &mut Client, slot: usize) -> u64 {
        self.opened[slot] = false;
        self.serial += 1;
        let rounds = FILES / (self.depth * APART);
        let number = (self.random.below(rounds) * self.depth + slot as u64) * APART + self.first;
        let mut key = [1; 16];
        key[..8].copy_from_slice(&number.to_le_bytes());
        let lease = Lease::V2 {
            lease_key: LeaseKey(key),
            lease_state: LeaseState::READ | LeaseState::WRITE | LeaseState::HANDLE,
            flags: LeaseFlags::empty(),
            parent_lease_key: LeaseKey::default(),
            epoch: 0,
        };
        let mut create_contexts = vec![lease.to_context()];
        if let Some(flags) = self.durable {
            key[8..].copy_from_slice(&self.serial.to_le_bytes());
            let request = DurableHandleRequestV2 { timeout: 60_000, flags, create_guid: Guid(key) };
            create_contexts.push(request.to_context());
        }
        let request = create(
            &format!(r"files\{number}"),
            AccessMask::FILE_READ,
            CreateDisposition::OPEN,
            CreateOptions::NON_DIRECTORY_FILE,
        );
        let requested_oplock_level = OplockLevel::LEASE;
        c.send(&CreateRequest { requested_oplock_level, create_contexts, ..request })
    }

    fn proceed(&mut self, c: &mut Client, slot: usize, reply: &Reply) -> Step {
        good(reply);
        if self.opened[slot] {
            return Step::Done(0);
        }
        self.opened[slot] = true;
        let opened = reply.clone().opened().expect("CREATE");
        assert_eq!(opened.durable.is_some(), self.durable.is_some());
        assert_eq!(opened.persistent, self.durable == Some(DurableHandleFlags::PERSISTENT));
        Step::Next(c.send(&CloseRequest { file_id: opened.file_id, ..CloseRequest::default() }))
    }
}

/// Create, write 4 KiB, close, open to delete, close.
struct CreateDelete {
    index: usize,
    data: Vec<u8>,
    state: Vec<(u32, FileId)>,
}

impl CreateDelete {
    fn name(&self, slot: usize) -> String {
        format!(r"scratch\file-{}-{slot}", self.index)
    }
}

impl Load for CreateDelete {
    fn begin(&mut self, c: &mut Client, slot: usize) -> u64 {
        self.state[slot].0 = 0;
        let access = AccessMask::FILE_READ | AccessMask::FILE_WRITE;
        c.send(&create(
            &self.name(slot),
            access,
            CreateDisposition::CREATE,
            CreateOptions::NON_DIRECTORY_FILE,
        ))
    }

    fn proceed(&mut self, c: &mut Client, slot: usize, reply: &Reply) -> Step {
        good(reply);
        let step = self.state[slot].0;
        self.state[slot].0 += 1;
        if matches!(step, 0 | 3) {
            self.state[slot].1 = opened(reply);
        }
        let file_id = self.state[slot].1;
        Step::Next(match step {
            0 => c.send(&WriteRequest { file_id, data: &self.data, ..WriteRequest::default() }),
            1 | 3 => c.send(&CloseRequest { file_id, ..CloseRequest::default() }),
            2 => {
                let options = CreateOptions::NON_DIRECTORY_FILE | CreateOptions::DELETE_ON_CLOSE;
                c.send(&create(&self.name(slot), AccessMask::DELETE, CreateDisposition::OPEN, options))
            }
            _ => return Step::Done(4096),
        })
    }
}

/// Opens the directory, lists it to its end in buffers of 1 MiB, closes it.
struct List {
    /// Names so far.
    state: Vec<(usize, FileId)>,
}

impl List {
    fn query(&self, c: &mut Client, slot: usize) -> Step {
        Step::Next(c.send(&QueryDirectoryRequest {
            // FileIdBothDirectoryInformation, as Windows and the Linux client ask for.
            file_information_class: FileInfoClass(37),
            flags: QueryDirectoryFlags::empty(),
            file_id: self.state[slot].1,
            output_buffer_length: 1 << 20,
            file_name: "*".to_owned(),
            ..QueryDirectoryRequest::default()
        }))
    }
}

impl Load for List {
    fn begin(&mut self, c: &mut Client, slot: usize) -> u64 {
        self.state[slot] = (0, FileId::default());
        c.send(&create("many", AccessMask::FILE_READ, CreateDisposition::OPEN, CreateOptions::DIRECTORY_FILE))
    }

    fn proceed(&mut self, c: &mut Client, slot: usize, reply: &Reply) -> Step {
        use smbgate::wire::header::Command;
        match (reply.header.command, reply.status()) {
            (Command::CREATE, _) => {
                self.state[slot].1 = opened(reply);
                self.query(c, slot)
            }
            (Command::QUERY_DIRECTORY, NtStatus::NO_MORE_FILES) => {
                Step::Next(c.send(&CloseRequest { file_id: self.state[slot].1, ..CloseRequest::default() }))
            }
            (Command::QUERY_DIRECTORY, _) => {
                good(reply);
                let answer = QueryDirectoryResponse::decode(&mut reply.reader()).expect("a listing");
                self.state[slot].0 += entries(answer.buffer);
                self.query(c, slot)
            }
            _ => {
                good(reply);
                assert_eq!(self.state[slot].0, MANY + 2, "names in the listing");
                Step::Done(0)
            }
        }
    }
}

/// Entries of a listing: each begins with the distance to the next.
fn entries(mut buffer: &[u8]) -> usize {
    let mut n = 0;
    while let Some(next) = buffer.first_chunk::<4>() {
        n += 1;
        match u32::from_le_bytes(*next) {
            0 => break,
            next => buffer = &buffer[next as usize..],
        }
    }
    n
}

/// What a client does for stat(2): open for attributes, query, close, in one compound.
struct Stat;

impl Load for Stat {
    fn begin(&mut self, c: &mut Client, _: usize) -> u64 {
        let open = create(DEEP, AccessMask::READ_ATTRIBUTES, CreateDisposition::OPEN, CreateOptions::empty());
        let query = QueryInfoRequest {
            info_type: InfoType::FILE,
            file_info_class: 18, // FileAllInformation
            output_buffer_length: 4096,
            file_id: FileId::RELATED,
            ..QueryInfoRequest::default()
        };
        let close = CloseRequest { file_id: FileId::RELATED, ..CloseRequest::default() };
        *c.compound().add(&open).related(&query).related(&close).send().last().expect("three ids")
    }

    fn proceed(&mut self, _: &mut Client, _: usize, reply: &Reply) -> Step {
        good(reply);
        Step::Done(0)
    }
}
