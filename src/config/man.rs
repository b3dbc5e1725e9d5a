//! What is made from the table of keys: `smbgate.toml(5)` and the example configuration.

use super::DEFAULT_PATH;
use super::keys::{self, Fallback, Key, Section};
use std::fmt::Write;

/// The manual page in roff.
pub fn manual() -> String {
    let mut out = String::from(
        ".\\\" Made from src/config/keys.rs by `make man`.\n.TH smbgate.toml 5 \"\" smbgate \"smbgate\"\n",
    );
    section(&mut out, "NAME", "smbgate.toml - configuration of the SMB3 server smbgate");
    section(
        &mut out,
        "DESCRIPTION",
        &format!(
            "`smbgate serve` reads its configuration from the file named by `--config`, else from `{DEFAULT_PATH}`. The file is \
             TOML. Unknown keys are errors. `smbgate check` says what is wrong, where, and how to mend it. A running server reads \
             the file again on SIGHUP without dropping a connection; a file with errors changes nothing."
        ),
    );
    section(
        &mut out,
        "VALUES",
        "A duration is a whole number with a unit, in quotes: `\"500ms\"`, `\"2s\"`, `\"5m\"`, `\"1h\"`. Permissions are octal \
         digits in quotes: `\"0664\"`. Paths are absolute.",
    );
    for part in Section::ALL {
        section(&mut out, part.header(), part.doc());
        for key in keys::of(part) {
            entry(&mut out, key);
        }
    }
    out.push_str(".SH EXAMPLE\n.nf\n");
    for line in EXAMPLE.trim().lines() {
        let _ = writeln!(out, "{}", escape(line));
    }
    out.push_str(".fi\n");
    section(&mut out, "SEE ALSO", "`smbgate`(8)");
    out
}

const EXAMPLE: &str = r#"
[server]
name = "nas"
encryption = "offered"

[[share]]
name = "media"
path = "/srv/media"
allow = { alice = "rw", bob = "ro" }
owner = "media:media"

[[share]]
name = "private"
path = "/srv/private"
allow = { alice = "rw" }
encryption = "required"
"#;

fn section(out: &mut String, title: &str, text: &str) {
    let _ = writeln!(out, ".SH \"{}\"\n{}", escape(title), prose(text));
}

fn entry(out: &mut String, key: &Key) {
    let _ = writeln!(out, ".TP\n\\fB{}\\fR = {}", escape(key.name), prose(key.form));
    let _ = writeln!(out, "{}", prose(key.doc));
    let default = match key.default {
        Fallback::Required => "This key is required.".to_owned(),
        Fallback::Is(value) => format!("Default: `{value}`."),
        Fallback::Told(text) => format!("Default: {text}."),
    };
    let _ = writeln!(out, ".br\n{}", prose(&default));
}

/// Roff for plain text in which `` `x` `` is literal.
fn prose(text: &str) -> String {
    let mut out = String::new();
    for (at, piece) in text.split('`').enumerate() {
        match at % 2 {
            0 => out.push_str(&escape(piece)),
            _ => {
                let _ = write!(out, "\\fB{}\\fR", escape(piece));
            }
        }
    }
    guard(out)
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '"' => out.push_str("\\(dq"),
            _ => out.push(c),
        }
    }
    guard(out)
}

/// A line that begins with a dot or an apostrophe would be a command.
fn guard(text: String) -> String {
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

/// A configuration to start from: every key with its meaning and its default.
pub fn example() -> String {
    let mut out = String::from(
        "# Configuration of smbgate: every key there is, with its default. See smbgate.toml(5).\n\
         # Try it with `smbgate check`; a running server reads it again on SIGHUP (`systemctl reload smbgate`).\n",
    );
    for part in Section::ALL {
        let _ = write!(out, "\n# {}\n", part.doc().replace('`', ""));
        let _ = writeln!(out, "{}", part.header());
        for key in keys::of(part) {
            out.push('\n');
            let doc = key.doc.replace('`', "");
            for line in wrap(&doc, 108) {
                let _ = writeln!(out, "# {line}");
            }
            let _ = match key.default {
                Fallback::Required => writeln!(out, "{} = {}", key.name, key.example),
                Fallback::Is(value) => writeln!(out, "#{} = {value}", key.name),
                Fallback::Told(text) => {
                    writeln!(out, "# Absent: {}.\n#{} = {}", text.replace('`', ""), key.name, key.example)
                }
            };
        }
    }
    out
}

/// Lines of at most `width` characters, broken at blanks.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
