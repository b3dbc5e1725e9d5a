//! The asking side.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{MAX_LINE, Reply, Request, socket_path};
use crate::daemon::Failure;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks the server that uses the state directory. `None`: there is none.
pub fn ask(dir: &Path, request: &Request) -> Result<Option<Reply>, Failure> {
    let stream = match socket_path(dir).and_then(|(path, _open)| UnixStream::connect(path)) {
        Ok(stream) => stream,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {
            return Err(Failure(format!(
                "{}: permission denied; run this as the user who runs the server (sudo), or name another with --state-dir",
                dir.display()
            )));
        }
        Err(e) => return Err(Failure(format!("cannot reach the server of {}: {e}", dir.display()))),
    };
    let reply = exchange(&stream, request)
        .map_err(|e| Failure(format!("the server of {} does not answer: {e}", dir.display())))?;
    Ok(Some(reply))
}

fn exchange(mut stream: &UnixStream, request: &Request) -> std::io::Result<Reply> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(MAX_LINE)).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&answer)?)
}
