//! From the text of a configuration file to [`Settings`], by the table in [`keys`](super::keys).

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::keys::{self, Fallback, Key, Section};
use super::problem::{Problems, Severity, Source, Spot, nearest};
use super::settings::{Kerberos, Place, Server, Settings, Share};
use super::values::{self, Fault, Read, Value};

const SHARE_IS_A_LIST: &str = "each share is one of a list: write [[share]], with two brackets";

/// What the defaults depend on.
#[derive(Clone, Debug)]
pub struct Host {
    /// Without its domain.
    pub name: String,
    /// Effective user id 0.
    pub root: bool,
    pub state_dir: PathBuf,
}

/// Which section a key was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Server,
    Kerberos,
    /// By position in [`Settings::shares`].
    Share(usize),
}

/// Where each setting that somebody wrote down stands.
#[derive(Clone, Debug, Default)]
pub struct Spots {
    keys: HashMap<(Part, &'static str), Spot>,
    parts: HashMap<Part, Spot>,
}

impl Spots {
    /// The spot of the key, else of its section.
    pub fn of(&self, part: Part, key: &str) -> Spot {
        let written = self.keys.iter().find(|((p, k), _)| *p == part && *k == key).map(|(_, spot)| spot);
        written.or_else(|| self.parts.get(&part)).cloned().unwrap_or(Spot::Nowhere)
    }

    /// Whether the key was written down.
    pub fn is_explicit(&self, part: Part, key: &str) -> bool {
        self.keys.keys().any(|(p, k)| *p == part && *k == key)
    }

    pub fn set_part(&mut self, part: Part, spot: Spot) {
        self.parts.insert(part, spot);
    }

    pub fn set_key(&mut self, part: Part, key: &'static str, spot: Spot) {
        self.keys.insert((part, key), spot);
    }

    /// The section now comes from elsewhere as a whole.
    pub fn replace_part(&mut self, part: Part, spot: Spot) {
        self.keys.retain(|(p, _), _| *p != part);
        self.parts.insert(part, spot);
    }
}

/// The file's settings, with defaults wherever it is silent or wrong; what is wrong is in `problems`.
pub fn read(source: Source<'_>, host: &Host, problems: &mut Problems) -> (Settings, Spots) {
    let mut spots = Spots::default();
    let (document, faults) = DeTable::parse_recoverable(source.text);
    syntax(source, &faults, problems);
    if problems.any_error() {
        return (defaults(host), spots);
    }
    let root = document.get_ref();
    for (name, _) in root.iter() {
        if Section::ALL.iter().all(|section| section.word() != name.get_ref()) {
            problems.push(Severity::Error, source.spot(name.span().start), unknown_at_top(name.get_ref()));
        }
    }
    let mut reader = Reader { source, problems, spots: &mut spots, host };
    let server = reader.single(root, Section::Server).map(|(table, span)| reader.server(table, span));
    let kerberos = reader.single(root, Section::Kerberos).map(|(table, span)| reader.kerberos(table, span));
    let shares = reader.shares(root);
    let settings = Settings {
        server: server.unwrap_or_else(|| defaults(host).server),
        kerberos: kerberos.unwrap_or_default(),
        shares,
    };
    (settings, spots)
}

/// The state directory of the file, whatever else is wrong with it, as long as it is TOML.
pub fn state_dir(source: Source<'_>, host: &Host) -> Result<PathBuf, Problems> {
    let mut problems = Problems::default();
    let (document, faults) = DeTable::parse_recoverable(source.text);
    syntax(source, &faults, &mut problems);
    let server =
        document.get_ref().get(Section::Server.word()).and_then(|section| section.get_ref().as_table());
    let written = server.and_then(|table| table.get("state_dir")).map(values::absolute_path);
    match written {
        Some(Err(fault)) => {
            problems.push(
                Severity::Error,
                source.spot(fault.span.start),
                format!("`state_dir` {}", fault.message),
            );
            Err(problems)
        }
        _ if problems.any_error() => Err(problems),
        Some(Ok(dir)) => Ok(dir),
        None => Ok(host.state_dir.clone()),
    }
}

fn syntax(source: Source<'_>, faults: &[toml::de::Error], problems: &mut Problems) {
    for fault in faults {
        let at = fault.span().map(|span| span.start);
        let single_bracket =
            at.is_some_and(|at| source.text[..at].ends_with('[') && source.text[at..].starts_with("share]"));
        let message = match single_bracket {
            true => SHARE_IS_A_LIST.to_owned(),
            false => fault.message().replace('\n', "; "),
        };
        let spot = at.map_or_else(|| Spot::WholeFile(source.path.to_path_buf()), |at| source.spot(at));
        problems.push(Severity::Error, spot, message);
    }
}

/// What holds when nothing is written down: a server without shares.
pub fn defaults(host: &Host) -> Settings {
    let (mut problems, mut spots) = (Problems::default(), Spots::default());
    let source = Source { path: std::path::Path::new(""), text: "" };
    let mut reader = Reader { source, problems: &mut problems, spots: &mut spots, host };
    let server = reader.server(&DeTable::new(), 0..0);
    debug_assert_eq!(problems, Problems::default());
    Settings { server, kerberos: Kerberos::default(), shares: Vec::new() }
}

/// A share of which only name and path are known.
pub fn default_share(name: String, path: PathBuf, place: Place) -> Share {
    let host = Host { name: String::new(), root: false, state_dir: PathBuf::new() };
    let (mut problems, mut spots) = (Problems::default(), Spots::default());
    let source = Source { path: std::path::Path::new(""), text: "" };
    let mut reader = Reader { source, problems: &mut problems, spots: &mut spots, host: &host };
    let share = reader.share(&DeTable::new(), 0..0, 0);
    Share { name, path, place, ..share }
}

fn unknown_at_top(name: &str) -> String {
    let owner = keys::KEYS.iter().find(|key| key.name == name).map(|key| key.section);
    match (nearest(name, Section::ALL.map(Section::word)), owner) {
        (Some("share"), _) => format!("unknown section `{name}`; did you mean [[share]]?"),
        (Some(word), _) => format!("unknown section `{name}`; did you mean [{word}]?"),
        (None, Some(section)) => {
            format!("`{name}` stands before any section; it belongs under {}", section.header())
        }
        (None, None) => format!("unknown section `{name}`; there are [server], [kerberos] and [[share]]"),
    }
}

struct Reader<'a> {
    source: Source<'a>,
    problems: &'a mut Problems,
    spots: &'a mut Spots,
    host: &'a Host,
}

impl<'a> Reader<'a> {
    fn error(&mut self, at: Range<usize>, message: String) {
        let spot = self.source.spot(at.start);
        self.problems.push(Severity::Error, spot, message);
    }

    /// A section that stands at most once, as a table.
    fn single<'t, 'i>(
        &mut self,
        root: &'t DeTable<'i>,
        section: Section,
    ) -> Option<(&'t DeTable<'i>, Range<usize>)> {
        let value = root.get(section.word())?;
        match value.get_ref() {
            DeValue::Table(table) => Some((table, value.span())),
            DeValue::Array(_) => {
                let (header, word) = (section.header(), section.word());
                self.error(value.span(), format!("{word} is one section, not a list: write {header}"));
                None
            }
            _ => {
                self.error(
                    value.span(),
                    format!("`{}` is a section: write {}", section.word(), section.header()),
                );
                None
            }
        }
    }

    fn shares(&mut self, root: &DeTable<'_>) -> Vec<Share> {
        let Some(value) = root.get(Section::Share.word()) else {
            return Vec::new();
        };
        let DeValue::Array(array) = value.get_ref() else {
            self.error(value.span(), SHARE_IS_A_LIST.to_owned());
            return Vec::new();
        };
        let mut shares = Vec::new();
        for element in array.iter() {
            match element.get_ref() {
                DeValue::Table(table) => {
                    let share = self.share(table, element.span(), shares.len());
                    shares.push(share);
                }
                _ => self.error(element.span(), "a share is a section: write [[share]]".to_owned()),
            }
        }
        shares
    }

    fn server(&mut self, table: &DeTable<'_>, span: Range<usize>) -> Server {
        let host = self.host;
        let mut fields = Fields::new(self, Section::Server, Part::Server, table, span);
        let listen = fields.optional("listen", |value| match values::list(value, values::address)? {
            list if list.is_empty() => {
                values::fault(value, "is empty; leave the key out for the default port")
            }
            list => Ok(list),
        });
        let server = Server {
            name: fields.optional("name", values::host_name).unwrap_or_else(|| host.name.clone()),
            listen_is_default: listen.is_none(),
            listen: listen.unwrap_or_else(|| vec![default_listen(host)]),
            state_dir: fields
                .optional("state_dir", values::absolute_path)
                .unwrap_or_else(|| host.state_dir.clone()),
            min_dialect: fields.value("min_dialect", values::dialect),
            max_dialect: fields.value("max_dialect", values::dialect),
            signing: fields.value("signing", |v| values::word(v, values::SIGNING)),
            encryption: fields.value("encryption", |v| values::word(v, values::ENCRYPTION)),
            ntlm: fields.value("ntlm", values::boolean),
            ciphers: fields.value("ciphers", |v| values::list(v, values::cipher)),
            max_connections: fields.value("max_connections", |v| values::number(v, 1..=1_000_000)) as usize,
        };
        fields.finish();
        server
    }

    fn kerberos(&mut self, table: &DeTable<'_>, span: Range<usize>) -> Kerberos {
        let mut fields = Fields::new(self, Section::Kerberos, Part::Kerberos, table, span);
        let kerberos = Kerberos {
            keytab: fields.optional("keytab", values::absolute_path),
            realms: fields.optional("realms", |v| values::list(v, values::realm)),
            map: fields.optional("map", values::principals).unwrap_or_default(),
        };
        fields.finish();
        kerberos
    }

    fn share(&mut self, table: &DeTable<'_>, span: Range<usize>, index: usize) -> Share {
        const HOUR: Duration = Duration::from_secs(3600);
        let place = match self.source.spot(span.start) {
            Spot::File { path, line, .. } => format!("{}:{line}", path.display()),
            other => other.to_string(),
        };
        let mut fields = Fields::new(self, Section::Share, Part::Share(index), table, span);
        let share = Share {
            name: fields.required("name", values::share_name),
            path: fields.required("path", values::absolute_path),
            comment: fields.value("comment", |v| values::string(v).map(str::to_owned)),
            read_only: fields.value("read_only", values::boolean),
            hidden: fields.value("hidden", values::boolean),
            guest: fields.value("guest", |v| values::word(v, values::GUEST)),
            allow: fields.optional("allow", values::allow),
            owner: fields.optional("owner", values::owner),
            file_mode: fields.optional("file_mode", |v| values::mode(v, 0o777)),
            dir_mode: fields.optional("dir_mode", |v| values::mode(v, 0o3777)),
            encryption: fields.optional("encryption", |v| values::word(v, values::ENCRYPTION)),
            symlinks: fields.value("symlinks", |v| values::word(v, values::SYMLINKS)),
            acls: fields.value("acls", |v| values::word(v, values::ACLS)),
            hide_unreadable: fields.value("hide_unreadable", values::boolean),
            streams: fields.value("streams", values::boolean),
            short_names: fields.value("short_names", values::boolean),
            change_notify: fields.value("change_notify", values::boolean),
            leases: fields.value("leases", values::boolean),
            posix_locks: fields.value("posix_locks", values::boolean),
            directory_leases: fields.value("directory_leases", values::boolean),
            watch: fields.value("watch", |v| values::word(v, values::WATCH)),
            poll_interval: fields
                .value("poll_interval", |v| values::duration(v, Duration::from_millis(100)..=HOUR)),
            view: fields.optional("view", values::absolute_path),
            durable_timeout: fields.value("durable_timeout", |v| values::duration(v, Duration::ZERO..=HOUR)),
            continuous_availability: fields.value("continuous_availability", values::boolean),
            place: Place(place.into()),
        };
        fields.finish();
        share
    }
}

fn default_listen(host: &Host) -> std::net::SocketAddr {
    let port = if host.root { 445 } else { 4450 };
    (std::net::Ipv6Addr::UNSPECIFIED, port).into()
}

/// The keys of one section while it is read.
struct Fields<'r, 'a, 't, 'i> {
    reader: &'r mut Reader<'a>,
    section: Section,
    part: Part,
    table: &'t DeTable<'i>,
    span: Range<usize>,
    asked: Vec<&'static str>,
}

impl<'r, 'a, 't, 'i> Fields<'r, 'a, 't, 'i> {
    fn new(
        reader: &'r mut Reader<'a>,
        section: Section,
        part: Part,
        table: &'t DeTable<'i>,
        span: Range<usize>,
    ) -> Fields<'r, 'a, 't, 'i> {
        let spot = reader.source.spot(span.start);
        reader.spots.set_part(part, spot);
        let mut fields = Fields { reader, section, part, table, span, asked: Vec::new() };
        fields.unknown_keys();
        fields
    }

    fn unknown_keys(&mut self) {
        for (name, _) in self.table.iter() {
            let typed: &str = name.get_ref();
            if let Some(key) = keys::find(self.section, typed) {
                let spot = self.reader.source.spot(name.span().start);
                self.reader.spots.keys.insert((self.part, key.name), spot);
                continue;
            }
            let header = self.section.header();
            let elsewhere = keys::KEYS.iter().find(|key| key.name == typed);
            let message = match (elsewhere, nearest(typed, keys::of(self.section).map(|key| key.name))) {
                (Some(key), _) => {
                    format!("`{typed}` is not a key of {header}; it belongs under {}", key.section.header())
                }
                (None, Some(near)) => format!("unknown key `{typed}` in {header}; did you mean `{near}`?"),
                (None, None) => {
                    let all: Vec<&str> = keys::of(self.section).map(|key| key.name).collect();
                    format!("unknown key `{typed}` in {header}; the keys are {}", all.join(", "))
                }
            };
            self.reader.error(name.span(), message);
        }
    }

    fn key(&mut self, name: &'static str) -> &'static Key {
        self.asked.push(name);
        keys::find(self.section, name).unwrap_or_else(|| unreachable!("{name} is not in the table of keys"))
    }

    /// The value as written, if it was and is right.
    fn written<T>(&mut self, key: &Key, parse: impl Fn(&Value<'_>) -> Read<T>) -> Option<T> {
        let value = self.table.get(key.name)?;
        match parse(value) {
            Ok(parsed) => Some(parsed),
            Err(Fault { span, message }) => {
                self.reader.error(span, format!("`{}` {message}", key.name));
                None
            }
        }
    }

    /// A key whose default is a value of the table.
    fn value<T>(&mut self, name: &'static str, parse: impl Fn(&Value<'_>) -> Read<T>) -> T {
        let key = self.key(name);
        if let Some(value) = self.written(key, &parse) {
            return value;
        }
        let Fallback::Is(text) = key.default else { unreachable!("{name} has no default in the table") };
        match DeValue::parse(text).map(|value| parse(&value)) {
            Ok(Ok(value)) => value,
            _ => unreachable!("the default of {name} does not read"),
        }
    }

    /// A key whose default is told in words, or that may be absent.
    fn optional<T>(&mut self, name: &'static str, parse: impl Fn(&Value<'_>) -> Read<T>) -> Option<T> {
        let key = self.key(name);
        debug_assert!(matches!(key.default, Fallback::Told(_)), "{name}");
        self.written(key, parse)
    }

    /// A key that has to be there; what comes back when it is not is never used.
    fn required<T: Default>(&mut self, name: &'static str, parse: impl Fn(&Value<'_>) -> Read<T>) -> T {
        let key = self.key(name);
        debug_assert!(matches!(key.default, Fallback::Required), "{name}");
        if self.table.get(name).is_none() {
            let message = format!(
                "{} without `{name}`; add a line such as {name} = {}",
                self.section.header(),
                key.example
            );
            let span = self.span.clone();
            self.reader.error(span, message);
        }
        self.written(key, parse).unwrap_or_default()
    }

    fn finish(self) {
        debug_assert!(
            keys::of(self.section).all(|key| self.asked.contains(&key.name)),
            "the reader asks for every key of {}",
            self.section.header()
        );
    }
}
