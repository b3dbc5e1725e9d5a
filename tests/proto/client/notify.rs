//! CHANGE_NOTIFY, again and again.

use smbgate::types::{AccessMask, CreateDisposition, CreateOptions, FileId, NtStatus};
use smbgate::wire::change_notify::{
    ChangeNotifyFlags, ChangeNotifyRequest, ChangeNotifyResponse, CompletionFilter,
};
use smbgate::wire::fscc::notify::{self, NotifyAction as A};

use super::{Client, create};

pub const NAMES: CompletionFilter = CompletionFilter::FILE_NAME.union(CompletionFilter::DIR_NAME);

/// A directory that a client watches: one request waits at any time.
pub struct Watched {
    directory: FileId,
    pub waiting: u64,
    told: Vec<(A, String)>,
}

fn ask(c: &mut Client, directory: FileId, filter: CompletionFilter, tree: bool) -> u64 {
    c.send(&ChangeNotifyRequest {
        flags: if tree { ChangeNotifyFlags::WATCH_TREE } else { ChangeNotifyFlags::empty() },
        output_buffer_length: 60_000,
        file_id: directory,
        completion_filter: filter,
    })
}

impl Watched {
    pub fn new(c: &mut Client, name: &str, filter: CompletionFilter, tree: bool) -> Watched {
        let options = CreateOptions::DIRECTORY_FILE;
        let request = create(name, AccessMask::FILE_READ, CreateDisposition::OPEN, options);
        let directory = c.create(&request).unwrap().file_id;
        let waiting = ask(c, directory, filter, tree);
        assert_eq!(c.wait_interim(waiting).status(), NtStatus::PENDING);
        Watched { directory, waiting, told: Vec::new() }
    }

    /// All that is told up to that.
    #[track_caller]
    pub fn until(&mut self, c: &mut Client, last: (A, &str)) -> Vec<(A, String)> {
        loop {
            if let Some(at) = self.told.iter().position(|(a, n)| (*a, n.as_str()) == last) {
                return self.told.drain(..=at).collect();
            }
            let reply =
                c.wait(self.waiting).ok().unwrap_or_else(|status| panic!("{status}; {:?}", self.told));
            let answer = ChangeNotifyResponse::decode(&mut reply.reader()).unwrap();
            self.told.extend(notify::decode(answer.buffer).map(Result::unwrap));
            self.waiting = ask(c, self.directory, NAMES, false);
        }
    }

    #[track_caller]
    pub fn expect(&mut self, c: &mut Client, expected: &[(A, &str)]) {
        let told = self.until(c, *expected.last().unwrap());
        assert_eq!(told.iter().map(|(a, n)| (*a, n.as_str())).collect::<Vec<_>>(), expected);
    }
}
