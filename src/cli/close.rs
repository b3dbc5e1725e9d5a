//! `smbgate close`.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Which;
use crate::daemon::Failure;
use crate::daemon::control::{Reply, Request, ask};

/// Close a session or an open of the server that runs (`smbgate status` shows their ids)
#[derive(Args, Debug)]
pub(super) struct Close {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// End a session, with everything it has open
    Session {
        /// As `smbgate status` shows it
        #[arg(value_parser = parse_id)]
        id: u64,
        #[command(flatten)]
        which: Which,
    },
    /// Close one open file or directory
    Open {
        /// As `smbgate status` shows it
        #[arg(value_parser = parse_id)]
        id: u64,
        #[command(flatten)]
        which: Which,
    },
}

impl Close {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let (request, which, what) = match self.what {
            What::Session { id, which } => (Request::CloseSession { id }, which, format!("session {id}")),
            What::Open { id, which } => (Request::CloseOpen { id }, which, format!("open {id}")),
        };
        let dir = which.dir()?;
        match ask(&dir, &request)? {
            Some(Reply::Done) => println!("closed {what}"),
            Some(Reply::Failed { why }) => return Err(Failure(why)),
            Some(_) => {
                return Err(Failure::new("the server answered something else; are both of one version?"));
            }
            None => return Err(super::status::nobody(&dir)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Decimal, or hexadecimal with `0x`.
fn parse_id(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "not an id; `smbgate status` shows them".to_owned())
}
