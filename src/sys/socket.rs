//! What the kernel knows of a TCP socket.

use std::os::fd::{AsFd, AsRawFd};

/// Bytes that were sent and not acknowledged by the other side, or not sent at all yet (SIOCOUTQ).
pub fn unacknowledged(socket: impl AsFd) -> rustix::io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open for as long as it is borrowed; the call writes one int.
    let ret = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    super::check(ret.into())?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn what_was_taken_is_acknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let mut sender = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        let (mut receiver, _) = listener.accept().expect("accepts");
        sender.write_all(b"all of it").expect("sends");
        let mut got = [0; 9];
        receiver.read_exact(&mut got).expect("receives");
        while unacknowledged(&sender).expect("a socket") > 0 {
            std::thread::yield_now();
        }
        // More than both buffers hold, with nobody reading.
        sender.set_nonblocking(true).expect("set");
        while sender.write(&[0; 65536]).is_ok() {}
        assert!(unacknowledged(&sender).expect("a socket") > 0);
    }
}
