//! The rules of the house (`lib.rs` and the design), held by a machine.

#[path = "house/man.rs"]
mod man;

use std::path::{Path, PathBuf};
use std::process::Command;

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(top().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Every Rust file beneath these directories: path from the top, text.
fn rust_files(dirs: &[&str]) -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = std::fs::read_dir(dir) else { return };
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for dir in dirs {
        walk(&top().join(dir), &mut found);
    }
    found.sort();
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(top()).expect("beneath the top").display().to_string();
            let text = read(&name);
            (name, text)
        })
        .collect()
}

/// The lines of a file with their numbers, comments left out.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter_map(|(at, line)| {
        let line = line.split(" // ").next().unwrap_or_default();
        (!line.trim_start().starts_with("//")).then_some((at + 1, line))
    })
}

/// The identifiers that follow `marker` in a line.
fn after<'a>(line: &'a str, marker: &str) -> Vec<&'a str> {
    let ends = |rest: &str| rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    line.match_indices(marker)
        .map(|(at, _)| {
            let rest = &line[at + marker.len()..];
            &rest[..ends(rest)]
        })
        .collect()
}

fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

#[track_caller]
fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

/// The layers, top to bottom, as the picture in `lib.rs` has them.
fn layers() -> Vec<String> {
    let lib = read("src/lib.rs");
    lib.lines()
        .skip_while(|line| !line.contains("```text"))
        .skip(1)
        .take_while(|line| !line.contains("```"))
        .filter_map(|line| line.trim_start_matches("//!").split_whitespace().next().map(str::to_owned))
        .collect()
}

#[test]
fn the_picture_shows_every_module() {
    let mut modules: Vec<String> = read("src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';').map(str::to_owned))
        .collect();
    let mut layers = layers();
    modules.sort();
    layers.sort();
    assert_eq!(modules, layers);
}

#[test]
fn a_module_uses_only_what_stands_below_it() {
    let layers = layers();
    let rank = |module: &str| layers.iter().position(|layer| layer == module);
    let mut wrong = Vec::new();
    for (name, text) in rust_files(&["src"]) {
        let Some(own) = name.split('/').nth(1).and_then(rank) else { continue };
        for (line, content) in code(&text) {
            // `use crate::{a, b}` at the top of the tree would hide from this.
            if content.contains("crate::{") {
                wrong.push(format!("{name}:{line}: one `use crate::` for each module, please"));
            }
            for used in after(content, "crate::") {
                if rank(used).is_some_and(|used| used < own) {
                    wrong.push(format!("{name}:{line}: {used} stands above {}", layers[own]));
                }
            }
        }
    }
    none("layers", &wrong);
}

#[test]
fn unsafe_is_in_sys_only() {
    let mut wrong = Vec::new();
    for (name, text) in rust_files(&["src"]) {
        let sys = name.starts_with("src/sys/");
        for (line, content) in code(&text) {
            if !sys && (has_word(content, "unsafe") || content.contains("allow(unsafe_code)")) {
                wrong.push(format!("{name}:{line}"));
            }
        }
    }
    none("unsafe code", &wrong);
}

#[test]
fn rules_have_no_io_and_no_clock() {
    const PURE: [&str; 4] = ["wire", "fsa", "types", "crypto"];
    const FORBIDDEN: [&str; 8] = [
        "tokio",
        "std::fs",
        "TcpListener",
        "TcpStream",
        "UdpSocket",
        "Instant::now",
        "SystemTime::now",
        "UNIX_EPOCH.elapsed",
    ];
    let mut wrong = Vec::new();
    for (name, text) in rust_files(&PURE.map(|module| format!("src/{module}")).each_ref().map(String::as_str))
    {
        if name.contains("/tests") {
            continue;
        }
        for (line, content) in code(&text) {
            for word in FORBIDDEN.iter().filter(|word| has_word(content, word)) {
                wrong.push(format!("{name}:{line}: {word}"));
            }
        }
    }
    none("I/O or a clock where only rules belong", &wrong);
}

#[test]
fn files_are_small() {
    let long: Vec<String> = rust_files(&["src", "tests", "benches", "fuzz"])
        .into_iter()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > 800)
        .map(|(name, lines)| format!("{name}: {lines} lines"))
        .collect();
    none("files over 800 lines", &long);
}

#[test]
fn who_is_ignored_is_told_why() {
    let mut wrong = Vec::new();
    for (name, text) in rust_files(&["src", "tests", "benches", "fuzz"]) {
        for (line, content) in code(&text) {
            if content.trim() == concat!("#[", "ignore]") {
                wrong.push(format!("{name}:{line}"));
            }
        }
    }
    none("tests ignored without a reason", &wrong);
}

/// Compares a generated file with the one that is shipped; `UPDATE=1` writes it (`make man`).
#[track_caller]
fn generated(name: &str, wanted: &str) {
    let path = top().join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, wanted).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    let shipped = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(shipped == wanted, "{name} is not what the tables say: run `make man`");
}

#[test]
fn the_manual_pages_are_those_of_the_tables() {
    generated("man/smbgate.8", &man::smbgate_8());
    generated("man/smbgate.toml.5", &smbgate::config::manual());
    generated("systemd/smbgate.toml", &smbgate::config::example());
}

#[test]
fn the_manual_pages_are_sound_roff() {
    for page in ["man/smbgate.8", "man/smbgate.toml.5"] {
        let Ok(output) =
            Command::new("groff").args(["-man", "-ww", "-Tutf8", "-z"]).arg(top().join(page)).output()
        else {
            return; // no groff here
        };
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn the_shipped_configuration_passes_the_check() {
    let dir = tempfile::tempdir().expect("a directory");
    let share = dir.path().join("share");
    std::fs::create_dir(&share).expect("made");
    // What depends on the machine: the path, the state directory, the port.
    let text = read("systemd/smbgate.toml")
        .replace("\"/srv/media\"", &format!("{:?}", share.display().to_string()))
        .replace(
            "[server]\n",
            &format!(
                "[server]\nlisten = [\"127.0.0.1:0\"]\nstate_dir = \"{}/state\"\n",
                dir.path().display()
            ),
        );
    let config = dir.path().join("smbgate.toml");
    std::fs::write(&config, text).expect("writes");
    let output = Command::new(env!("CARGO_BIN_EXE_smbgate"))
        .arg("check")
        .arg("--config")
        .arg(&config)
        .output()
        .expect("runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && told.ends_with(": right\n"),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    let dir = tempfile::tempdir().expect("a directory");
    let unit = dir.path().join("smbgate.service");
    let text = read("systemd/smbgate.service");
    assert!(text.contains("ExecStart=/usr/bin/smbgate serve"), "what `make install` replaces");
    std::fs::write(&unit, text.replace("/usr/bin/smbgate", env!("CARGO_BIN_EXE_smbgate"))).expect("writes");
    // With what local views need beside it.
    let beside = dir.path().join("smbgate.service.d");
    std::fs::create_dir(&beside).expect("a directory");
    std::fs::write(beside.join("views.conf"), read("systemd/views.conf")).expect("writes");
    let Ok(output) = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(&unit)
        .output()
    else {
        return; // no systemd here
    };
    let told = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> =
        told.lines().filter(|line| line.contains("smbgate.service") || line.contains("views.conf")).collect();
    assert!(output.status.success() && ours.is_empty(), "{told}");
}

/// The targets of the Makefile.
fn targets() -> Vec<String> {
    read("Makefile")
        .lines()
        .filter(|line| !line.starts_with(['\t', '#', '.', ' ']))
        .filter_map(|line| line.split_once(':').filter(|(_, rest)| !rest.starts_with('=')))
        .flat_map(|(names, _)| names.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[test]
fn what_the_readme_tells_to_make_can_be_made() {
    let targets = targets();
    let readme = read("README.md");
    let told: Vec<&str> = after(&readme, "make ");
    assert!(told.contains(&"run") && told.contains(&"test"), "the two commands are in the README");
    // Only what stands in a code block or in backticks is a command.
    for (at, _) in readme.match_indices("make ") {
        let before = readme[..at].chars().next_back();
        if matches!(before, Some('`' | '\n')) {
            let target = after(&readme[at..], "make ")[0];
            assert!(targets.iter().any(|t| t == target), "README: there is no `make {target}`");
        }
    }
}

#[test]
fn readme_and_changelog_know_the_version() {
    let changelog = read("CHANGELOG.md");
    assert!(
        changelog.contains(&format!("## {}", env!("CARGO_PKG_VERSION"))),
        "CHANGELOG.md has this version"
    );
    for license in ["LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(!read(license).is_empty());
    }
}
