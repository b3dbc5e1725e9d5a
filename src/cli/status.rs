//! `smbgate status`.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::Which;
use crate::daemon::Failure;
use crate::daemon::control::{Reply, Request, ask};
use crate::server::status::{OpenStatus, Status as ServerStatus};

/// Show what the server does: shares, sessions, opens
#[derive(Args, Debug)]
pub(super) struct Status {
    /// As JSON; with --watch one line each time
    #[arg(long)]
    json: bool,
    /// Go on showing it, every two seconds
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    which: Which,
}

const PERIOD: Duration = Duration::from_secs(2);

impl Status {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let dir = self.which.dir()?;
        loop {
            let status = match ask(&dir, &Request::Status)? {
                Some(Reply::Status { status }) => *status,
                Some(Reply::Failed { why }) => return Err(Failure(why)),
                Some(_) => {
                    return Err(Failure::new("the server answered something else; are both of one version?"));
                }
                None => return Err(nobody(&dir)),
            };
            let text = match (self.json, self.watch) {
                (true, false) => serde_json::to_string_pretty(&status).map(|text| text + "\n"),
                (true, true) => serde_json::to_string(&status).map(|text| text + "\n"),
                (false, _) => Ok(render(&status)),
            }
            .map_err(|e| Failure(e.to_string()))?;
            let mut out = std::io::stdout().lock();
            let clear = if self.watch && !self.json && out.is_terminal() { "\x1b[H\x1b[2J" } else { "" };
            // Who reads may have gone (`| head`): that is no failure.
            if write!(out, "{clear}{text}").and_then(|()| out.flush()).is_err() || !self.watch {
                return Ok(ExitCode::SUCCESS);
            }
            drop(out);
            std::thread::sleep(PERIOD);
        }
    }
}

/// What to say when no server uses the state directory.
pub(super) fn nobody(dir: &Path) -> Failure {
    Failure(format!(
        "no server runs with the state directory {}; start one with `smbgate serve`, or name another with --state-dir or --config",
        dir.display()
    ))
}

fn render(status: &ServerStatus) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "smbgate {}, process {}, up {}, on {}",
        status.version,
        status.pid,
        age(status.uptime_seconds),
        status.listen.join(", ")
    );
    let _ = writeln!(
        out,
        "{}, {}, {}",
        count(status.connections.len(), "connection"),
        count(status.sessions.len(), "session"),
        count(status.opens.len(), "open")
    );
    let mut shares =
        Table::new("SHARES", &["NAME", "PATH", "FILE SYSTEM", "COHERENCE", "OPENS", "WORKERS", "QUEUE"]);
    for share in &status.shares {
        let coherence = match share.why.as_str() {
            "" => share.coherence.clone(),
            why => format!("{} ({why})", share.coherence),
        };
        shares.row([
            share.name.clone(),
            share.path.clone(),
            share.file_system.clone(),
            coherence,
            share.opens.to_string(),
            format!("{}/{}", share.workers_busy, share.workers),
            share.queue.to_string(),
        ]);
    }
    shares.write(&mut out);
    let mut sessions = Table::new(
        "SESSIONS",
        &["ID", "USER", "PEER", "DIALECT", "SIGNING", "CIPHER", "CHANNELS", "OPENS", "SINCE"],
    );
    for session in &status.sessions {
        sessions.row([
            session.id.to_string(),
            if session.guest { format!("{} (guest)", session.user) } else { session.user.clone() },
            session.peer.clone(),
            session.dialect.clone(),
            session.signing.clone(),
            session.cipher.clone().unwrap_or_else(|| "-".to_owned()),
            session.channels.to_string(),
            session.opens.to_string(),
            age(session.since_seconds),
        ]);
    }
    sessions.write(&mut out);
    let mut opens =
        Table::new("OPENS", &["ID", "SESSION", "USER", "SHARE", "PATH", "ACCESS", "DURABLE", "SINCE"]);
    for open in &status.opens {
        opens.row([
            open.id.to_string(),
            open.session.to_string(),
            open.user.clone(),
            open.share.clone(),
            open.path.clone(),
            open.access.clone(),
            durable(open),
            age(open.since_seconds),
        ]);
    }
    opens.write(&mut out);
    out
}

/// How long a handle would wait for its client, or does.
fn durable(open: &OpenStatus) -> String {
    let time = match (open.durable_seconds, open.waits_seconds) {
        (_, Some(left)) => format!("waits {}", age(left)),
        (Some(granted), None) => age(granted),
        (None, None) => return "-".to_owned(),
    };
    if open.persistent { format!("{time}, persistent") } else { time }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// The two largest units: `3d 4h`, `5m 2s`.
fn age(seconds: u64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let mut left = seconds;
    let parts: Vec<String> = units
        .iter()
        .map(|(size, unit)| {
            let n = left / size;
            left %= size;
            (n, format!("{n}{unit}"))
        })
        .skip_while(|(n, _)| *n == 0)
        .take(2)
        .filter(|(n, _)| *n > 0)
        .map(|(_, text)| text)
        .collect();
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// Columns as wide as their widest cell.
struct Table {
    title: &'static str,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(title: &'static str, header: &[&str]) -> Table {
        Table { title, rows: vec![header.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    fn row<const N: usize>(&mut self, cells: [String; N]) {
        // A name from a client must not draw on the terminal.
        let clean =
            |cell: String| cell.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect();
        self.rows.push(cells.into_iter().map(clean).collect());
    }

    /// Nothing if there are no rows.
    fn write(&self, out: &mut String) {
        if self.rows.len() < 2 {
            return;
        }
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.rows[0].len()).map(width).collect();
        let _ = writeln!(out, "\n{}", self.title);
        for row in &self.rows {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            let _ = writeln!(out, "  {}", cells.join("  ").trim_end());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::status::{SessionStatus, ShareStatus};

    #[test]
    fn ages_have_two_units() {
        let shown: Vec<String> = [0, 1, 59, 60, 62, 3600, 3_661, 86_400, 90_000, 1_000_000].map(age).to_vec();
        assert_eq!(shown, ["0s", "1s", "59s", "1m", "1m 2s", "1h", "1h 1m", "1d", "1d 1h", "11d 13h"]);
    }

    #[test]
    fn columns_line_up() {
        let status = ServerStatus {
            version: "0.1.0".to_owned(),
            pid: 42,
            uptime_seconds: 3700,
            listen: vec!["[::]:445".to_owned()],
            connections: Vec::new(),
            sessions: vec![SessionStatus {
                id: 7,
                user: "alice".to_owned(),
                peer: "10.0.0.9:50000".to_owned(),
                dialect: "3.1.1".to_owned(),
                signing: "AES-GMAC".to_owned(),
                cipher: None,
                channels: 2,
                guest: false,
                principal: None,
                ticket_seconds: None,
                opens: 1,
                since_seconds: 61,
            }],
            opens: vec![
                OpenStatus {
                    id: 12,
                    session: 7,
                    user: "alice".to_owned(),
                    share: "media".to_owned(),
                    path: "films/\u{1b}[2Jx".to_owned(),
                    access: "read".to_owned(),
                    durable_seconds: None,
                    waits_seconds: None,
                    persistent: false,
                    since_seconds: 5,
                },
                OpenStatus {
                    id: 13,
                    session: 0,
                    user: "bob".to_owned(),
                    share: "media".to_owned(),
                    path: "a".to_owned(),
                    access: "read".to_owned(),
                    durable_seconds: Some(60),
                    waits_seconds: Some(43),
                    persistent: true,
                    since_seconds: 9,
                },
            ],
            shares: vec![ShareStatus {
                name: "media".to_owned(),
                path: "/srv/media".to_owned(),
                file_system: "ext4".to_owned(),
                coherence: "none".to_owned(),
                why: "not built yet".to_owned(),
                opens: 1,
                workers_busy: 0,
                workers: 2,
                queue: 0,
            }],
        };
        assert_eq!(
            render(&status),
            "\
smbgate 0.1.0, process 42, up 1h 1m, on [::]:445
0 connections, 1 session, 2 opens

SHARES
  NAME   PATH        FILE SYSTEM  COHERENCE             OPENS  WORKERS  QUEUE
  media  /srv/media  ext4         none (not built yet)  1      0/2      0

SESSIONS
  ID  USER   PEER            DIALECT  SIGNING   CIPHER  CHANNELS  OPENS  SINCE
  7   alice  10.0.0.9:50000  3.1.1    AES-GMAC  -       2         1      1m 1s

OPENS
  ID  SESSION  USER   SHARE  PATH         ACCESS  DURABLE                SINCE
  12  7        alice  media  films/\u{FFFD}[2Jx  read    -                      5s
  13  0        bob    media  a            read    waits 43s, persistent  9s
"
        );
    }
}
