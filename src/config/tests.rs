//! What the reader says of files, right and wrong.

use super::*;
use crate::crypto::Cipher;
use crate::types::Dialect;
use std::path::PathBuf;
use std::time::Duration;

fn host() -> Host {
    Host { name: "box".to_owned(), root: true, state_dir: PathBuf::from("/var/lib/smbgate") }
}

fn parse_text(text: &str) -> (Settings, Problems) {
    parse(Some((Path::new("t.toml"), text)), &Overrides::default(), &host())
}

/// The settings of a file without a fault; notes are no fault.
fn good(text: &str) -> Settings {
    let (settings, problems) = parse_text(text);
    let faults: Vec<_> = problems.0.iter().filter(|p| p.severity > Severity::Note).collect();
    assert!(faults.is_empty(), "{faults:?}\n{text}");
    settings
}

const SHARE: &str = "[[share]]\nname = \"m\"\npath = \"/srv/m\"\n";

#[test]
fn the_least_file_has_every_default() {
    let settings = good(SHARE);
    let server = &settings.server;
    assert_eq!(server.name, "box");
    assert_eq!(server.listen, vec!["[::]:445".parse().expect("an address")]);
    assert!(server.listen_is_default);
    assert_eq!(server.state_dir, Path::new("/var/lib/smbgate"));
    assert_eq!((server.min_dialect, server.max_dialect), (Dialect::SMB2_02, Dialect::SMB3_11));
    assert_eq!((server.signing, server.encryption), (Signing::Required, Encryption::Offered));
    assert_eq!(server.ciphers, [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::Aes128Ccm, Cipher::Aes256Ccm]);
    assert_eq!(server.max_connections, 4096);
    assert!(server.ntlm);
    assert_eq!(settings.kerberos, Kerberos::default());
    let share = &settings.shares[0];
    assert_eq!((share.read_only, share.hidden, share.guest), (false, false, Guest::Off));
    assert_eq!((share.file_mode, share.dir_mode, share.encryption), (None, None, None));
    assert_eq!((share.symlinks, share.watch), (Symlinks::Inside, Watch::Auto));
    assert_eq!((share.leases, share.directory_leases, share.continuous_availability), (true, true, false));
    assert!(share.posix_locks);
    assert_eq!(
        (share.poll_interval, share.durable_timeout),
        (Duration::from_secs(2), Duration::from_secs(60))
    );
    assert_eq!((&share.allow, &share.owner, &share.view), (&None, &None, &None));
    assert_eq!(share.place.to_string(), "t.toml:1");
}

#[test]
fn nobody_but_root_listens_above_1024() {
    let host = Host { root: false, ..host() };
    let (settings, _) = parse(Some((Path::new("t.toml"), SHARE)), &Overrides::default(), &host);
    assert_eq!(settings.server.listen, vec!["[::]:4450".parse().expect("an address")]);
}

#[test]
fn the_design_example_reads() {
    let settings = good(
        r#"
[server]
name = "nas"
listen = ["[::]:445"]
state_dir = "/var/lib/smbgate"
min_dialect = "2.0.2"
max_dialect = "3.1.1"
signing = "required"
encryption = "offered"
ciphers = ["aes-128-gcm", "aes-256-gcm", "aes-128-ccm", "aes-256-ccm"]
max_connections = 4096

[kerberos]
keytab = "/etc/smbgate/smbgate.keytab"

[[share]]
name = "media"
path = "/srv/media"
comment = ""
read_only = false
hidden = false
guest = "off"
allow = { Alice = "rw", bob = "ro" }
owner = "media:media"
file_mode = "0664"
dir_mode = "0775"
encryption = "required"
symlinks = "inside"
leases = true
directory_leases = true
watch = "auto"
poll_interval = "2s"
view = "/mnt/media"
durable_timeout = "60s"
continuous_availability = false
"#,
    );
    let share = settings.share("MEDIA").expect("found in any case");
    assert_eq!(share.access_of("alice"), Some(Access::ReadWrite));
    assert_eq!(share.access_of("BOB"), Some(Access::ReadOnly));
    assert_eq!(share.access_of("carol"), None);
    assert_eq!((share.file_mode, share.dir_mode), (Some(0o664), Some(0o775)));
    assert_eq!(share.owner.as_ref().map(ToString::to_string).as_deref(), Some("media:media"));
    assert_eq!(settings.encryption_of(share), Encryption::Required);
}

#[test]
fn read_only_caps_everybody() {
    let settings = good("[[share]]\nname=\"m\"\npath=\"/srv/m\"\nread_only=true\nallow={a=\"rw\"}");
    assert_eq!(settings.shares[0].access_of("a"), Some(Access::ReadOnly));
}

#[test]
fn every_key_of_the_table_reads_its_own_example_and_default() {
    for key in keys::KEYS {
        for value in
            [Some(key.example), if let keys::Fallback::Is(value) = key.default { Some(value) } else { None }]
                .into_iter()
                .flatten()
        {
            let line = format!("{} = {value}\n", key.name);
            let text = match (key.section, key.name) {
                (keys::Section::Share, "name") => format!("[[share]]\npath = \"/srv/m\"\n{line}"),
                (keys::Section::Share, "path") => format!("[[share]]\nname = \"m\"\n{line}"),
                (keys::Section::Share, _) => format!("{SHARE}{line}"),
                (section, _) => format!("{}\n{line}{SHARE}", section.header()),
            };
            let (_, problems) = parse_text(&text);
            assert!(!problems.any_error(), "{text}{problems}");
        }
    }
}

#[test]
fn principals_are_mapped() {
    let kerberos = good(&format!(
        "{SHARE}[server]\nntlm = false\n[kerberos]\nkeytab = \"/k\"\nrealms = [\"A.ORG\", \"B\"]\nmap = {{ \"bob@C\" = \"robert\" }}\n"
    ))
    .kerberos;
    assert_eq!(kerberos.keytab.as_deref(), Some(Path::new("/k")));
    assert_eq!(kerberos.realms.as_deref(), Some(&["A.ORG".to_owned(), "B".to_owned()][..]));
    assert_eq!(kerberos.map.get("bob@C").map(String::as_str), Some("robert"));
}

/// (what is wrong, the file or its share's extra line, the message)
#[rustfmt::skip]
const FAULTS: &[(&str, &str)] = &[
    ("[server]\nlisen = [\"[::]:445\"]", "t.toml:2:1: error: unknown key `lisen` in [server]; did you mean `listen`?"),
    ("[serve]\nname = \"x\"", "t.toml:1:2: error: unknown section `serve`; did you mean [server]?"),
    ("[shares]\nname = \"x\"", "t.toml:1:2: error: unknown section `shares`; did you mean [[share]]?"),
    ("[share]\nname = \"x\"\npath = \"/x\"", "t.toml:1:1: error: each share is one of a list: write [[share]], with two brackets"),
    ("[share]\nname = \"x\"\n[share]\nname = \"y\"", "t.toml:3:2: error: each share is one of a list: write [[share]], with two brackets"),
    ("[[server]]\nname = \"x\"", "t.toml:1:1: error: server is one section, not a list: write [server]"),
    ("name = \"x\"", "t.toml:1:1: error: `name` stands before any section; it belongs under [server]"),
    ("[server]\npath = \"/x\"", "t.toml:2:1: error: `path` is not a key of [server]; it belongs under [[share]]"),
    ("[server]\nworkgroup = \"x\"", "t.toml:2:1: error: unknown key `workgroup` in [server]; the keys are name, listen, "),
    ("[server]\nlisten = \"[::]:445\"", "t.toml:2:10: error: `listen` wants an array, found a string: write [\"[::]:445\"]"),
    ("[server]\nlisten = []", "t.toml:2:10: error: `listen` is empty"),
    ("[server]\nlisten = [\"445\"]", "t.toml:2:11: error: `listen` \"445\" is not an address with a port; did you mean \"[::]:445\"?"),
    ("[server]\nlisten = [\"0.0.0.0\"]", "did you mean \"0.0.0.0:445\"?"),
    ("[server]\nlisten = [\"::\"]", "did you mean \"[::]:445\"?"),
    ("[server]\nlisten = [\"*:445\"]", "did you mean \"[::]:445\"?"),
    ("[server]\nlisten = [\"localhost:445\"]", "did you mean \"127.0.0.1:445\"?"),
    ("[server]\nlisten = [\"nas:smb\"]", "is not an address with a port, such as"),
    ("[server]\nlisten = [\"[::]:445\", \"[::]:445\"]", "t.toml:2:23: error: `listen` is in the list twice"),
    ("[server]\nname = \"nas.example.org\"", "t.toml:2:8: error: `name` \"nas.example.org\" has a domain; did you mean \"nas\"?"),
    ("[server]\nname = \"my nas\"", "' ' cannot be in a host name"),
    ("[server]\nstate_dir = \"state\"", "t.toml:2:13: error: `state_dir` \"state\" is relative"),
    ("[server]\nmin_dialect = 3.0", "put the dialect in quotes: \"3.0\""),
    ("[server]\nmin_dialect = \"3.1.2\"", "\"3.1.2\" is not \"2.0.2\", \"2.1\", \"3.0\", \"3.0.2\" or \"3.1.1\"; did you mean"),
    ("[server]\nmin_dialect = \"NT1\"", "SMB 1 is not spoken"),
    ("[server]\nmin_dialect = \"3.1.1\"\nmax_dialect = \"3.0\"", "t.toml:2:1: error: min_dialect \"3.1.1\" is newer than max_dialect \"3.0\""),
    ("[server]\nmax_dialect = \"2.1\"\nencryption = \"required\"", "t.toml:3:1: error: encryption = \"required\" needs dialect 3.0 or newer"),
    ("[server]\nsigning = \"require\"", "t.toml:2:11: error: `signing` \"require\" is not \"required\" or \"offered\"; did you mean \"required\"?"),
    ("[server]\nsigning = true", "`signing` wants \"required\" or \"offered\", found true or false"),
    ("[server]\nciphers = []", "an empty list of ciphers"),
    ("[server]\nciphers = [\"aes128-gcm\"]", "t.toml:2:12: error: `ciphers` \"aes128-gcm\" is not"),
    ("[server]\nmax_dialect = \"3.0\"\nencryption = \"required\"\nciphers = [\"aes-128-gcm\"]", "t.toml:4:1: error: encryption is required and max_dialect is \"3.0\""),
    ("[server]\nmax_connections = 0", "`max_connections` 0 is not a number from 1 to 1000000"),
    ("[server]\nmax_connections = -4", "-4 is not a number from 1"),
    ("[server]\nmax_connections = \"many\"", "wants a number, found a string"),
    ("[kerberos]\nkeytab = \"~/k\"", "the file is not read by a shell"),
    ("[server]\nntlm = false", "t.toml:2:1: error: ntlm = false leaves Kerberos, and [kerberos] names no `keytab`: nobody could log on"),
    ("[kerberos]\nkeytab = \"/k\"\nrealms = [\"A B\"]", "`realms` \"A B\" is no realm; one looks like \"EXAMPLE.ORG\""),
    ("[kerberos]\nkeytab = \"/k\"\nmap = { bob = \"bob\" }", "`map` \"bob\" is no principal: write it with its realm, \"bob@EXAMPLE.ORG\""),
    ("[kerberos]\nkeytab = \"/k\"\nmap = { \"bob@A\" = \"a/b\" }", "'/' cannot be in the name of a user"),
    ("[server]\nname = ", "t.toml:2:8: error:"),
    ("[server]\nname = \"a\"\nname = \"b\"", "t.toml:3:1: error: duplicate key"),
    ("", "t.toml: error: nothing to share"),
    ("[[share]]\nname = \"x\"", "t.toml:1:1: error: [[share]] without `path`; add a line such as path = \"/srv/media\""),
    ("[[share]]\npath = \"/x\"", "t.toml:1:1: error: [[share]] without `name`"),
    ("[[share]]\nname = \"IPC$\"\npath = \"/x\"", "t.toml:2:8: error: `name` \"IPC$\" is a name of the protocol's own"),
    ("[[share]]\nname = \"a/b\"\npath = \"/x\"", "'/' cannot be in the name of a share"),
    ("[[share]]\nname = \" a\"\npath = \"/x\"", "begins or ends with a blank"),
    ("[[share]]\nname = \"a\"\npath = \"x/y\"", "t.toml:3:8: error: `path` \"x/y\" is relative"),
    ("[[share]]\nname = \"a\"\npath = \"/x\"\n[[share]]\nname = \"A\"\npath = \"/y\"", "t.toml:5:1: error: share \"A\" is there already (t.toml:2:1)"),
    ("+read_only = \"yes\"", "`read_only` wants true or false, found \"yes\": write true"),
    ("+guest = \"r\"", "\"r\" is not \"off\", \"ro\" or \"rw\"; did you mean \"ro\"?"),
    ("+allow = [\"alice\"]", "`allow` wants a table, found an array: write { alice = \"rw\" }"),
    ("+allow = { alice = \"write\" }", "t.toml:4:19: error: `allow` \"write\" is not \"ro\" or \"rw\""),
    ("+allow = { \"al@ice\" = \"rw\" }", "t.toml:4:11: error: `allow` '@' cannot be in the name of a user"),
    ("+allow = { alice = \"rw\", Alice = \"ro\" }", "`allow` alice is in the table twice"),
    ("+owner = \"media:\"", "\"media:\" is not \"user:group\" or \"user\""),
    ("+file_mode = 664", "`file_mode` wants an octal string, found a number: write \"0664\""),
    ("+file_mode = \"0688\"", "\"0688\" is not a mode in octal"),
    ("+file_mode = \"4755\"", "has bits that are not allowed here (at most \"0777\")"),
    ("+poll_interval = 2", "`poll_interval` wants a duration, found a number without a unit: write \"2s\""),
    ("+poll_interval = \"2\"", "\"2\" has no unit; did you mean \"2s\"?"),
    ("+poll_interval = \"2 minutes\"", "write \"2m\""),
    ("+poll_interval = \"1ms\"", "\"1ms\" is not between \"100ms\" and \"1h\""),
    ("+durable_timeout = \"2h\"", "is not between \"0s\" and \"1h\""),
    ("+view = \"/srv/m/view\"", "t.toml:4:1: error: share \"m\": the view /srv/m/view and the shared path /srv/m lie one in the other"),
    ("+view = \"/srv/o\"\n[[share]]\nname=\"o\"\npath=\"/srv/o/p\"", "t.toml:4:1: error: share \"m\": the view /srv/o and the path /srv/o/p of share \"o\" lie one in the other"),
    ("+guest = \"ro\"\nencryption = \"required\"", "t.toml:4:1: error: share \"m\": guests have no key, so they cannot encrypt"),
    ("+symlink = \"never\"", "unknown key `symlink` in [[share]]; did you mean `symlinks`?"),
    ("[server]\nencryption = \"required\"\n[[share]]\nname=\"a\"\npath=\"/x\"\nencryption=\"off\"", "t.toml:6:1: error: share \"a\": the server requires encryption everywhere (t.toml:2:1)"),
    ("[server]\nmax_dialect = \"2.1\"\n[[share]]\nname=\"a\"\npath=\"/x\"\ncontinuous_availability=true", "needs dialect 3.0"),
    ("[server]\nstate_dir = \"/srv/m/state\"\n[[share]]\nname=\"a\"\npath=\"/srv/m\"", "t.toml:5:1: error: share \"a\": the state directory /srv/m/state lies inside the share"),
];

#[test]
fn what_is_wrong_is_said_with_its_place_and_its_remedy() {
    for (text, wanted) in FAULTS {
        let text = match text.strip_prefix('+') {
            Some(line) => format!("{SHARE}{line}"),
            None if text.contains("[share]") || text.is_empty() => (*text).to_owned(),
            None => format!("{text}\n{SHARE}"),
        };
        let (_, problems) = parse_text(&text);
        let errors: Vec<String> = problems.errors().map(ToString::to_string).collect();
        assert!(errors.iter().any(|e| e.contains(wanted)), "{text}\nwanted: {wanted}\nfound: {errors:#?}");
    }
}

#[test]
fn every_fault_of_a_file_is_told_at_once() {
    let (_, problems) =
        parse_text("[server]\nnme = \"a\"\nsigning = \"maybe\"\n[[share]]\nname = \"a\"\npath = \"b\"\n");
    assert_eq!(problems.errors().count(), 3, "{problems}");
}

#[test]
fn what_asks_for_trouble_is_a_warning() {
    let warnings = |text: &str| {
        let (_, problems) = parse_text(text);
        assert!(!problems.any_error(), "{problems}");
        problems
            .0
            .iter()
            .filter(|p| p.severity == Severity::Warning)
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let one = |line: &str, wanted: &str| {
        let told = warnings(&format!("{SHARE}{line}\n"));
        assert!(told.len() == 1 && told[0].contains(wanted), "{told:?}");
    };
    one("symlinks = \"outside\"", "t.toml:4:1: warning: share \"m\": symlinks = \"outside\" lets");
    one("guest = \"ro\"", "neither signed nor encrypted");
    one("allow = {}", "nobody can connect");
    one("leases = false\ndirectory_leases = true", "directory_leases has no effect");
    one("watch = \"off\"\ndirectory_leases = true", "no directory lease is ever granted");
    one("[[share]]\nname = \"n\"\npath = \"/srv/m/sub\"", "have files in common");
    assert_eq!(warnings(&format!("{SHARE}leases = false\n")).len(), 0, "a default contradicts nobody");
}

#[test]
fn flags_add_to_the_file_and_replace_its_shares() {
    let overrides = Overrides {
        views: vec!["m=/mnt/m".to_owned()],
        shares: vec!["M=/other".to_owned(), "n=/srv/n,ro".to_owned()],
        listen: vec!["127.0.0.1:4450".parse().expect("an address")],
        state_dir: Some(PathBuf::from("/tmp/state")),
        current_dir: PathBuf::from("/"),
        users: Vec::new(),
    };
    let (settings, problems) = parse(Some((Path::new("t.toml"), SHARE)), &overrides, &host());
    assert!(!problems.any_error(), "{problems}");
    let names: Vec<_> =
        settings.shares.iter().map(|s| (s.name.as_str(), s.path.to_str().expect("text"))).collect();
    assert_eq!(names, [("M", "/other"), ("n", "/srv/n")]);
    assert_eq!(settings.shares[0].view.as_deref(), Some(Path::new("/mnt/m")));
    assert_eq!(settings.server.listen, overrides.listen);
    assert!(!settings.server.listen_is_default);
    assert_eq!(settings.server.state_dir, Path::new("/tmp/state"));

    let twice = Overrides { shares: vec!["a=/x".to_owned(), "A=/y".to_owned()], ..Overrides::default() };
    let (_, problems) = parse(None, &twice, &host());
    assert_eq!(
        problems.to_string(),
        "--share A=/y: error: share \"A\" is there already (--share a=/x); names differ in more than upper and lower case"
    );
    let (_, problems) = parse(None, &Overrides::default(), &host());
    assert!(problems.to_string().starts_with("error: nothing to share"), "{problems}");
}

#[test]
fn durations_read_back() {
    for text in ["0s", "1ms", "500ms", "1500ms", "2s", "90s", "5m", "1h", "36h"] {
        assert_eq!(show_duration(parse_duration(text).expect(text)), text);
    }
    for text in ["", "s", "-1s", "1.5s", "1d", "99999999999999999999s", "99999999999999999h"] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
}

#[test]
fn the_example_configuration_is_right_with_and_without_its_comments() {
    good(&example());
    let bare: String = example()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let (_, problems) = parse_text(&bare);
    assert!(!problems.any_error(), "{problems}");
}

#[test]
fn the_manual_tells_of_every_key() {
    let manual = manual();
    for key in keys::KEYS {
        assert!(manual.contains(&format!("\\fB{}\\fR", key.name)), "{}", key.name);
    }
    for line in manual.lines() {
        assert!(!line.starts_with('\''), "{line}");
    }
}
