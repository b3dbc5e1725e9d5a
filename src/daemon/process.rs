//! The process as a whole: its limits and its umask.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};

/// Descriptors that are always in use: listeners, database, control socket, standard streams, slack.
const BASE: u64 = 256;

/// Lets the process have as many open files as it may. Logs when that is little for what is configured.
pub fn raise_open_files(max_connections: usize) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    let ceiling =
        std::fs::read_to_string("/proc/sys/fs/nr_open").ok().and_then(|text| text.trim().parse().ok());
    // Root may raise the hard limit as well.
    let tries = [ceiling.unwrap_or(hard).max(hard), hard];
    let reached = tries
        .into_iter()
        .find(|limit| setrlimit(Resource::RLIMIT_NOFILE, *limit, (*limit).max(hard)).is_ok());
    let limit = reached.unwrap_or(soft);
    let wanted = BASE + 2 * max_connections as u64;
    if limit < wanted {
        log::warn!(
            "this process may open {limit} files, which is little for {max_connections} connections and their files; \
             raise the limit (LimitNOFILE= in the unit, or ulimit -n) to {wanted} or more, or lower max_connections"
        );
    }
}

/// What the process becomes takes its own.
pub fn give_back_umask(mask: u32) {
    umask(Mode::from_bits_truncate(mask));
}

/// Sets the umask to zero, so that the modes of new files are exactly those asked for, and returns the one the process was
/// started with.
pub fn take_umask() -> u32 {
    umask(Mode::empty()).bits()
}
