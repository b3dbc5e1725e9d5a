//! Where a password comes from: the terminal, standard input, a file. Never the command line, which everybody can see.

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use crate::daemon::Failure;

/// What Windows takes at most (MS-SAMR): 256 UTF-16 units.
const MAX_UNITS: usize = 256;

#[derive(Args, Debug)]
pub(super) struct Source {
    /// Read the password from the first line of standard input
    #[arg(long, conflicts_with = "password_file")]
    password_stdin: bool,
    /// Read the password from the first line of FILE
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Source {
    pub(super) fn get(&self, user: &str) -> Result<Zeroizing<String>, Failure> {
        if self.password_stdin {
            return first_line(std::io::stdin().lock(), "standard input");
        }
        if let Some(path) = &self.password_file {
            return from_file(path);
        }
        if !has_terminal() {
            return Err(Failure::new(
                "no terminal to ask for the password on; give --password-stdin or --password-file FILE",
            ));
        }
        prompt(user)
    }
}

/// Whether somebody can be asked.
pub(super) fn has_terminal() -> bool {
    std::io::stdin().is_terminal() && std::fs::File::open("/dev/tty").is_ok()
}

/// Asks twice, without echo.
pub(super) fn prompt(user: &str) -> Result<Zeroizing<String>, Failure> {
    let ask = |text: String| {
        rpassword::prompt_password(text)
            .map(Zeroizing::new)
            .map_err(|e| Failure(format!("cannot read the password: {e}")))
    };
    loop {
        let first = ask(format!("Password for {user}: "))?;
        if let Err(why) = check(&first) {
            eprintln!("{why}");
            continue;
        }
        if *ask("Once more: ".to_owned())? == *first {
            return Ok(first);
        }
        eprintln!("They differ.");
    }
}

fn from_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let file =
        std::fs::File::open(path).map_err(|e| Failure(format!("cannot read {}: {e}", path.display())))?;
    first_line(std::io::BufReader::new(file), &path.display().to_string())
}

fn first_line(source: impl BufRead, name: &str) -> Result<Zeroizing<String>, Failure> {
    let mut line = Zeroizing::new(String::new());
    source
        .take(4096)
        .read_line(&mut line)
        .map_err(|e| Failure(format!("cannot read the password from {name}: {e}")))?;
    let password = line.strip_suffix('\n').unwrap_or(&line);
    let password = Zeroizing::new(password.strip_suffix('\r').unwrap_or(password).to_owned());
    check(&password).map_err(|why| Failure(format!("{name}: {why}")))?;
    Ok(password)
}

fn check(password: &str) -> Result<(), &'static str> {
    if password.is_empty() {
        return Err("the password is empty, and clients do not log on with an empty one");
    }
    if password.encode_utf16().count() > MAX_UNITS {
        return Err("the password is longer than 256 characters");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_the_first_line_as_it_stands() {
        let read = |text: &str| first_line(text.as_bytes(), "x").map(|password| password.to_string());
        assert_eq!(read("a b \n").expect("reads"), "a b ");
        assert_eq!(read("secret\r\nmore").expect("reads"), "secret");
        assert_eq!(read("no newline").expect("reads"), "no newline");
        assert!(read("\n").is_err());
        assert!(read("").is_err());
        assert!(read(&"x".repeat(257)).is_err());
    }
}
