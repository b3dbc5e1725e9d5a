//! The one table of configuration keys: what the reader accepts, the defaults it fills in, and what `smbgate.toml(5)`
//! says of each. A test holds the reader and this table together.

/// A section of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Server,
    Kerberos,
    Share,
}

impl Section {
    pub const ALL: [Section; 3] = [Section::Server, Section::Kerberos, Section::Share];

    /// As it stands in the file.
    pub const fn header(self) -> &'static str {
        match self {
            Section::Server => "[server]",
            Section::Kerberos => "[kerberos]",
            Section::Share => "[[share]]",
        }
    }

    /// The bare name.
    pub const fn word(self) -> &'static str {
        match self {
            Section::Server => "server",
            Section::Kerberos => "kerberos",
            Section::Share => "share",
        }
    }

    /// What the section is for, for the manual.
    pub const fn doc(self) -> &'static str {
        match self {
            Section::Server => "The server as a whole. At most one.",
            Section::Kerberos => "Logon with Kerberos tickets, beside NTLM. At most one.",
            Section::Share => {
                "A path to share. One section for each share; at least one, unless `smbgate serve --share` names one."
            }
        }
    }
}

/// What is used when the key is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// There is none: the key has to be given.
    Required,
    /// This TOML value, read by the same reader.
    Is(&'static str),
    /// Depends on the machine or on other keys; in words.
    Told(&'static str),
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub section: Section,
    pub name: &'static str,
    /// What the value looks like, for the manual.
    pub form: &'static str,
    pub default: Fallback,
    /// A TOML value for the example in the manual.
    pub example: &'static str,
    pub doc: &'static str,
}

const fn key(
    section: Section,
    name: &'static str,
    form: &'static str,
    default: Fallback,
    example: &'static str,
    doc: &'static str,
) -> Key {
    Key { section, name, form, default, example, doc }
}

use Fallback::{Is, Required, Told};
use Section::{Kerberos, Server, Share};

const ENCRYPTION: &str = r#""off", "offered" or "required""#;

/// Every key there is, in the order of the manual.
pub const KEYS: &[Key] = &[
    key(
        Server,
        "name",
        "string",
        Told("the host name, without its domain"),
        r#""nas""#,
        "The name the server goes by: letters, digits, `-` and `_`, at most 63 of them. Clients see it when they log on and when \
         they list shares.",
    ),
    key(
        Server,
        "listen",
        "array of \"address:port\"",
        Told(r#"`["[::]:445"]` for root, `["[::]:4450"]` for everybody else"#),
        r#"["[::]:445"]"#,
        "Where to listen. `[::]` takes IPv6 and IPv4; on a machine without IPv6 the default becomes `0.0.0.0`. Ports below 1024 \
         need root or CAP_NET_BIND_SERVICE, and most clients know no port but 445.",
    ),
    key(
        Server,
        "state_dir",
        "absolute path",
        Told(
            "`/var/lib/smbgate` for root, `$XDG_STATE_HOME/smbgate` (`~/.local/state/smbgate`) for everybody else",
        ),
        r#""/var/lib/smbgate""#,
        "Where the embedded database (users, handles, side data) and the control socket live. Made with mode 0700 when it is \
         missing. One server at a time uses it. It must not lie inside a share.",
    ),
    key(
        Server,
        "min_dialect",
        r#""2.0.2", "2.1", "3.0", "3.0.2" or "3.1.1""#,
        Is(r#""2.0.2""#),
        r#""3.0""#,
        "The oldest dialect of SMB that is spoken. SMB 1 never is.",
    ),
    key(
        Server,
        "max_dialect",
        r#"as `min_dialect`"#,
        Is(r#""3.1.1""#),
        r#""3.1.1""#,
        "The newest dialect that is spoken.",
    ),
    key(
        Server,
        "signing",
        r#""required" or "offered""#,
        Is(r#""required""#),
        r#""required""#,
        "Whether every message of a user's session has to be signed (or sealed). Guests have no key, so theirs never are.",
    ),
    key(
        Server,
        "encryption",
        ENCRYPTION,
        Is(r#""offered""#),
        r#""offered""#,
        "Whether traffic is sealed: when the client asks for it, always (clients that cannot are refused), or never. Needs \
         dialect 3.0 or newer.",
    ),
    key(
        Server,
        "ntlm",
        "true or false",
        Is("true"),
        "true",
        "Whether users may log on with the passwords that `smbgate user` keeps. Without it tickets are the only way in \
         (`[kerberos]`), for guests too.",
    ),
    key(
        Server,
        "ciphers",
        r#"array of "aes-128-gcm", "aes-256-gcm", "aes-128-ccm", "aes-256-ccm""#,
        Is(r#"["aes-128-gcm", "aes-256-gcm", "aes-128-ccm", "aes-256-ccm"]"#),
        r#"["aes-256-gcm", "aes-128-gcm"]"#,
        "What traffic is sealed with, in order of preference. Dialects 3.0 and 3.0.2 know aes-128-ccm only.",
    ),
    key(
        Server,
        "max_connections",
        "number",
        Is("4096"),
        "4096",
        "Connections held at the same time; further ones are closed at once.",
    ),
    key(
        Kerberos,
        "keytab",
        "absolute path",
        Told("none: no Kerberos"),
        r#""/etc/smbgate/smbgate.keytab""#,
        "The keytab with the server's `cifs/HOST` key, where HOST is the name that clients connect to (`kadmin ktadd -k \
         /etc/smbgate/smbgate.keytab cifs/nas.example.org`). It is read for each logon: a new one holds at once. Add the new key \
         beside the old one when you change it, since clients keep their tickets for hours. Needs MIT Kerberos \
         (libgssapi_krb5.so.2) on this machine; `smbgate check` says if it is there.",
    ),
    key(
        Kerberos,
        "realms",
        "array of strings",
        Told("the realms of the `cifs/` keys in the keytab"),
        r#"["EXAMPLE.ORG"]"#,
        "Whose principals are the local users of the same name: alice@EXAMPLE.ORG is alice. The user must be known here, by a \
         Unix account (NSS: sssd, LDAP, /etc/passwd) or by `smbgate user`; nobody becomes root by his name alone. A user who is \
         disabled there gets in with no ticket either.",
    ),
    key(
        Kerberos,
        "map",
        "table of principal = user",
        Told("none"),
        r#"{ "bob@OTHER.ORG" = "robert", "backup/nas@EXAMPLE.ORG" = "backup" }"#,
        "Principals that are local users of another name, whatever their realm. It comes before `realms`.",
    ),
    key(
        Share,
        "name",
        "string",
        Required,
        r#""media""#,
        "The name clients connect to, as in `//server/media`. At most 80 characters, none of `\" \\ / [ ] : | < > + = ; , * ?`. \
         Upper and lower case are the same. A name that ends in `$` is hidden from lists.",
    ),
    key(
        Share,
        "path",
        "absolute path",
        Required,
        r#""/srv/media""#,
        "The directory that is shared. It has to exist.",
    ),
    key(Share, "comment", "string", Is(r#""""#), r#""Films and music""#, "Shown beside the name in lists."),
    key(
        Share,
        "read_only",
        "true or false",
        Is("false"),
        "true",
        "Nobody writes here, whatever `allow` and `guest` say.",
    ),
    key(
        Share,
        "hidden",
        "true or false",
        Is("false"),
        "true",
        "Leave the share out of lists. It can still be connected to.",
    ),
    key(
        Share,
        "guest",
        r#""off", "ro" or "rw""#,
        Is(r#""off""#),
        r#""ro""#,
        "What those without a user may do. Guest sessions can be neither signed nor sealed, and Windows refuses them unless told \
         otherwise. As root they act as `owner`, or as the account `nobody`.",
    ),
    key(
        Share,
        "allow",
        r#"table of user = "ro" or "rw""#,
        Told("every user of the database, with \"rw\""),
        r#"{ alice = "rw", bob = "ro" }"#,
        "Who may connect. The permissions of the files hold as well: the kernel checks each access as that user.",
    ),
    key(
        Share,
        "owner",
        r#""user:group" or "user""#,
        Told("the Unix account with the name of the user who connects"),
        r#""media:media""#,
        "The account that does all the work on this share, whoever connects, and so owns what is created. Needs root. Without it \
         each user of the share needs a Unix account of the same name.",
    ),
    key(
        Share,
        "file_mode",
        "octal string",
        Told("0666 less the umask the process was started with"),
        r#""0664""#,
        "Permissions of new files.",
    ),
    key(
        Share,
        "dir_mode",
        "octal string",
        Told("0777 less the umask the process was started with"),
        r#""0775""#,
        "Permissions of new directories. May include the setgid bit (`\"2775\"`).",
    ),
    key(
        Share,
        "encryption",
        ENCRYPTION,
        Told("as in [server]"),
        r#""required""#,
        "Overrides the server's for this share. A server that requires encryption requires it everywhere.",
    ),
    key(
        Share,
        "symlinks",
        r#""inside", "never" or "outside""#,
        Is(r#""inside""#),
        r#""never""#,
        "Which symbolic links are followed: those that end inside the share, none, or all. With \"outside\" whoever can make a link \
         in the share reads every file of the machine that the user may read.",
    ),
    key(
        Share,
        "acls",
        r#""windows", "verbatim" or "posix""#,
        Is(r#""windows""#),
        r#""posix""#,
        "What becomes of the permissions that clients set. \"windows\": they are stored beside the file as they are \
         (`security.NTACL`, as Samba does; in the database where root or the file system cannot), new files inherit \
         them, and they hold together with mode and POSIX ACL, which are made as wide as they need. \"verbatim\": the \
         same, but the mark of inherited lists is kept as sent, which copying tools want and Windows does not do. \
         \"posix\": mode and POSIX ACL are all there is, and setting permissions sets those.",
    ),
    key(
        Share,
        "hide_unreadable",
        "true or false",
        Is("false"),
        "true",
        "Leave out of listings what the user may not read (access based enumeration). Listings get slower by a few system calls for each entry.",
    ),
    key(
        Share,
        "streams",
        "true or false",
        Is("true"),
        "false",
        "Named streams (`file:stream`). With false the share says that it has none, and names with a `:` in them are invalid. \
         Streams that files have already stay, out of reach.",
    ),
    key(
        Share,
        "short_names",
        "true or false",
        Is("true"),
        "false",
        "Files whose names are not of the 8.3 form of DOS have a second one of that form, which is shown to those who ask and opens \
         the file. It follows from the name alone. Wildcards do not find files by it. Not on file systems that have case-insensitive \
         names of their own (FAT).",
    ),
    key(
        Share,
        "change_notify",
        "true or false",
        Is("true"),
        "false",
        "Tell clients that watch a directory what changes in it. With false they are told that the server cannot.",
    ),
    key(
        Share,
        "leases",
        "true or false",
        Is("true"),
        "true",
        "Let clients cache what they have open. Only where changes from outside are seen (`watch`), unless that is \"off\": then \
         nobody else must change the files.",
    ),
    key(
        Share,
        "posix_locks",
        "true or false",
        Is("true"),
        "true",
        "Byte ranges that clients lock are locked for the programs of this machine as well, and the other way round (POSIX and \
         open-file-description locks, as `fcntl(2)` and `lockf(3)` make them; not those of `flock(2)`), so that a database can be \
         used from both sides. Between clients the locks of SMB hold in every case. Where the machine has no such lock (no bytes, \
         beyond 2^63-1, an exclusive lock of a file that is open for reading only, a named stream, a file system without locks) \
         they alone hold. A program's lock keeps clients from locking, not from reading and writing.",
    ),
    key(
        Share,
        "directory_leases",
        "true or false",
        Is("true"),
        "true",
        "Let clients cache listings of directories. Only where changes from outside are seen (`watch`). Needs `leases`.",
    ),
    key(
        Share,
        "watch",
        r#""auto", "inotify", "poll" or "off""#,
        Is(r#""auto""#),
        r#""auto""#,
        "How changes made outside SMB are seen, so that clients hear of them and what they cache is broken. \"inotify\": the \
         kernel tells, within milliseconds (by fanotify, on Linux 5.17 and later and where the file system can, else by \
         inotify). \"poll\": what clients watch or cache is looked at again and again. \"auto\": the kernel on local file \
         systems, both on remote and FUSE ones, where the kernel does not see what is changed at the far side. `smbgate status` \
         says how much is seen.",
    ),
    key(
        Share,
        "poll_interval",
        "duration, \"100ms\" to \"1h\"",
        Is(r#""2s""#),
        r#""2s""#,
        "How often polling looks. It takes longer where more is watched than 2000 system calls a second can look at.",
    ),
    key(
        Share,
        "view",
        "absolute path",
        Told("none"),
        r#""/mnt/media""#,
        "Mount a local view of the share here, an empty directory outside the shared path: programs that use it see what clients \
         have cached, and clients see their changes before they happen. An open waits until a client that caches writes has \
         flushed them; a share mode that denies it is EBUSY, as with the kernel's own SMB client; no client caches a file while \
         a program has it open to write; locks of `fcntl(2)` and `flock(2)` meet those of clients (`posix_locks`; each other \
         too, as on NFS). Permissions are those of the files and of the program's user. Needs /dev/fuse, and fusermount3 where \
         the server is not root: then only its own user sees the view. As root on Linux 6.9 and newer data moves without a \
         detour.",
    ),
    key(
        Share,
        "durable_timeout",
        "duration, up to \"1h\"",
        Is(r#""60s""#),
        r#""5m""#,
        "How long an open file waits for a client that lost its connection, if the client asks for that (durable handles) and names \
         no other time, up to 5 minutes. After the server was stopped or killed they wait as long, from its next start. \"0s\": none is granted.",
    ),
    key(
        Share,
        "continuous_availability",
        "true or false",
        Is("false"),
        "true",
        "Offer persistent handles: every open file of a client that asks for it, and each of its locks, is on disk before the client \
         hears of it, and comes back after a crash of the server. Opens and locks take as long as the disk does. Needs dialect 3.0.",
    ),
];

/// The keys of one section.
pub fn of(section: Section) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.section == section)
}

/// The key of that name, if the section has it.
pub fn find(section: Section, name: &str) -> Option<&'static Key> {
    of(section).find(|key| key.name == name)
}
