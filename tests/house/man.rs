//! `smbgate(8)`: the command line as clap knows it, and what clap cannot know.

use clap_mangen::Man;

/// The manual page in roff.
pub fn smbgate_8() -> String {
    let mut command = smbgate::cli::command();
    command.build();
    let page = Man::new(command.clone())
        .title("smbgate")
        .section("8")
        .source(format!("smbgate {}", env!("CARGO_PKG_VERSION")))
        .manual("smbgate");
    let mut out = Vec::new();
    out.extend_from_slice(b".\\\" Made from src/cli and tests/house/man.rs by `make man`.\n");
    page.render_title(&mut out).expect("renders");
    out.extend_from_slice(b".SH NAME\nsmbgate \\- share directories with SMB3 clients\n.SH SYNOPSIS\n");
    out.extend_from_slice(synopses(&command).as_bytes());
    out.extend_from_slice(DESCRIPTION.as_bytes());
    out.extend_from_slice(b".SH COMMANDS\n");
    out.extend_from_slice(common(&command).as_bytes());
    for leaf in leaves(&command) {
        out.extend_from_slice(section(&leaf).as_bytes());
    }
    out.extend_from_slice(REST.as_bytes());
    let text = String::from_utf8(out).expect("text");
    // clap_mangen leaves blanks at the ends of lines.
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// The commands that do something, with their full names.
fn leaves(command: &clap::Command) -> Vec<clap::Command> {
    let children: Vec<&clap::Command> =
        command.get_subcommands().filter(|sub| sub.get_name() != "help").collect();
    if children.is_empty() {
        return vec![command.clone()];
    }
    children.into_iter().flat_map(leaves).collect()
}

fn full_name(command: &clap::Command) -> String {
    command.get_bin_name().unwrap_or(command.get_name()).replace('-', "\\-")
}

/// `.B smbgate user add` and its arguments.
fn usage(command: &clap::Command) -> String {
    let mut out = format!("\\fB{}\\fR", full_name(command));
    for arg in
        command.get_arguments().filter(|arg| !arg.is_positional() && !COMMON.contains(&arg.get_id().as_str()))
    {
        let Some(long) = arg.get_long().filter(|long| !["help", "version"].contains(long)) else { continue };
        let value = match arg.get_action().takes_values() {
            true => arg
                .get_value_names()
                .unwrap_or_default()
                .iter()
                .map(|name| format!(" \\fI{name}\\fR"))
                .collect(),
            false => String::new(),
        };
        let more = if matches!(arg.get_action(), clap::ArgAction::Append) { "..." } else { "" };
        out += &format!(" [\\fB\\-\\-{}\\fR{value}]{more}", long.replace('-', "\\-"));
    }
    for arg in command.get_positionals() {
        out += &format!(" \\fI{}\\fR", arg.get_id().as_str().to_uppercase());
    }
    out
}

fn synopses(command: &clap::Command) -> String {
    leaves(command).iter().map(|leaf| format!("{}\n.br\n", usage(leaf))).collect()
}

/// The options that every command has.
const COMMON: [&str; 2] = ["config", "state_dir"];

fn section(command: &clap::Command) -> String {
    let about = command.get_about().map(|about| about.to_string()).unwrap_or_default();
    let own = command.clone().mut_args(|arg| {
        let hide = COMMON.contains(&arg.get_id().as_str()) || arg.get_id() == "help";
        arg.hide(hide)
    });
    format!(".SS {}\n{}.\n{}", full_name(command), about.replace('-', "\\-"), options(own))
}

fn common(command: &clap::Command) -> String {
    let check = leaves(command).into_iter().find(|leaf| leaf.get_name() == "check").expect("is there");
    let shared = check.mut_args(|arg| {
        let hide = !COMMON.contains(&arg.get_id().as_str());
        arg.hide(hide)
    });
    format!("Every command takes:\n{}", options(shared))
}

fn options(command: clap::Command) -> String {
    let mut options = Vec::new();
    Man::new(command).render_options_section(&mut options).expect("renders");
    let options = String::from_utf8(options).expect("text");
    let wanted = |line: &&str| ![".SH", ".ie", ".el"].iter().any(|command| line.starts_with(command));
    options.lines().filter(wanted).map(|line| format!("{line}\n")).collect()
}

const DESCRIPTION: &str = r#".SH DESCRIPTION
smbgate shares directories that already exist on this machine (a local file system, an rclone, sshfs or mergerfs
mount) with Windows, macOS and Linux clients, in the dialects SMB 2.0.2 to 3.1.1, signed and sealed.
.PP
Started by root it does everything a client asks for with that user's Unix account, so that the kernel decides what is
allowed; started by anybody else it does everything as that one account. Its users have passwords of their own, which
.B smbgate user
keeps in the state directory.
"#;

const REST: &str = r#".SH ENVIRONMENT
.TP
.B SMBGATE_LOG
What is logged to standard error, in the syntax of env_logger: a level (error, warn, info, debug, trace), or levels by
module, such as \fIinfo,smbgate::auth=debug\fR. Default: info.
.TP
.B XDG_STATE_HOME
Where the state directory of those who are not root is: \fI$XDG_STATE_HOME/smbgate\fR, else
\fI~/.local/state/smbgate\fR.
.TP
.BR NOTIFY_SOCKET ", " WATCHDOG_USEC ", " JOURNAL_STREAM ", " LISTEN_PID ", " LISTEN_FDS
Set by systemd; see
.BR sd_notify (3)
and
.BR sd_listen_fds (3).
Listening sockets are given to it to keep, so that connections wait while the service is restarted.
.SH FILES
.TP
.I /etc/smbgate/smbgate.toml
The configuration; see
.BR smbgate.toml (5).
.TP
.I /var/lib/smbgate
The state directory of root: the database (users, attributes) and the control socket. One server at a time uses it.
A database that does not open any more is set aside as \fIdb.corrupt\-TIME\fR, and an empty one takes its place.
.SH SIGNALS
.TP
.B SIGHUP
Read the configuration again. Connections stay. If it has errors, nothing changes and the log says why.
.TP
.B SIGUSR2
Be replaced by the program as it is on disk, with the same process id and arguments: connections end as at a stop, new
ones wait for it, and durable handles are found again. If that program or the configuration is of no use, nothing
happens and the log says why.
.TP
.BR SIGTERM ", " SIGINT
Stop: no more connections, an end for the requests under way, at most ten seconds. A second one stops at once.
.SH EXIT STATUS
.TP
.B 0
Done; for
.BR check :
nothing is wrong.
.TP
.B 1
Failed; standard error says why. For
.BR check :
something is wrong.
.TP
.B 2
Wrong usage.
.SH EXAMPLES
Share a directory with one user, without a configuration:
.PP
.nf
smbgate serve \-\-share media=/srv/media \-\-user alice
.fi
.PP
Add a user, from a script:
.PP
.nf
smbgate user add alice \-\-password\-file /run/secrets/alice
.fi
.PP
Take over the users of Samba, passwords included:
.PP
.nf
pdbedit \-\-list \-\-smbpasswd\-style | smbgate user import \-
.fi
.PP
Change the configuration of a running server:
.PP
.nf
smbgate check && systemctl reload smbgate
.fi
.SH SEE ALSO
.BR smbgate.toml (5),
.BR mount.cifs (8),
.BR smbclient (1)
"#;
