"""What leases cost that are only held, of smbgate as it hears of changes in one way or another, and of smbd (which grants none
on directories, and does not hear of changes made outside).
"""

import contextlib
import os
import platform
import resource
import shutil
import subprocess
import tempfile

from servers import KINDS, SHARED

# Directories, files in each, connections that hold them all open with leases, and opens under way on each.
LEASED, LEASED_FILES, HOLDERS, OPENING = 10_000, 10, 4, 32
# Local changes in a directory that nobody has open; fewer where a system call takes long (--guest).
ELSEWHERE = int(os.environ.get("ELSEWHERE", 1_000_000))
# Who holds them, on what: name, title, kind of server, settings of the share, through a FUSE mount, whether local writes are heard of.
HELD = [
    ("leases-fanotify", "smbgate, fanotify", "smbgate", {}, False, True),
    ("leases-inotify", "smbgate, inotify", "smbgate", {"watch": "inotify"}, False, True),
    ("leases-poll", "smbgate, polling bindfs", "smbgate", {}, True, False),
    ("leases-smbd", "smbd", "smbd", {}, False, False),
]
POLLED = HELD[2]
# Of the files that it may open: smbgate asks for handles back from three quarters on, and polls no more than a quarter.
ROOM, POLLED_ROOM = 0.7, 0.24


def rows(kinds, only):
    """Those of HELD that are asked for."""
    return [h for h in HELD if h[2] in kinds and (not only or h[0] in only or "leases" in only)]


def room(part=ROOM):
    """Directories there can be: as many as are wanted, if the process may open as many files."""
    wanted = int(LEASED * (LEASED_FILES + 1) / POLLED_ROOM)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(hard, wanted), max(hard, wanted)))
    return min(LEASED, int(resource.getrlimit(resource.RLIMIT_NOFILE)[0] * part) // (LEASED_FILES + 1))


def in_a_guest(top, target, only):
    """All of it in a virtual machine, where root may open as many files as he likes. User Mode Linux: the code runs at this
    machine's speed on one processor, a system call takes some ten times as long, so times there are no measure of speed. Returned is the
    exit status."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as stage:
        for part in ("benches", os.path.join("tests", "common")):
            shutil.copytree(os.path.join(top, part), os.path.join(stage, part))
        for name in ("smbgate", os.path.join("examples", "load")):
            to = os.path.join(stage, "target", "release", name)
            os.makedirs(os.path.dirname(to), exist_ok=True)
            shutil.copy(os.path.join(target, "release", name), to)
        done = subprocess.run(
            [os.path.join(SHARED, "cifs-vm", "cifs-vm"), "run", "--backend", "uml", "--port", "1", "--share", "none", "--no-mount",
             "--mem", "6G", "--scratch", "8G", "--dir", stage, "--timeout", "10800", "--env", f"ONLY={only}",
             os.path.join(stage, "benches", "guest.sh")], stdin=subprocess.DEVNULL)
        report = os.path.join(stage, "target", "bench", "report.md")
        if os.path.exists(report):
            os.makedirs(os.path.join(target, "bench"), exist_ok=True)
            shutil.copy(report, os.path.join(target, "bench", "guest.md"))
        return done.returncode


def lay_out(top, directories):
    for n in range(directories):
        folder = os.path.join(top, "tree", str(n))
        os.makedirs(folder)
        for m in range(LEASED_FILES):
            os.close(os.open(os.path.join(folder, str(m)), os.O_CREAT | os.O_WRONLY, 0o666))
    os.mkdir(os.path.join(top, "elsewhere"))
    subprocess.run(["chmod", "-R", "a+rwX", top], check=True)
    os.sync()


@contextlib.contextmanager
def through_fuse(tree, mount):
    """The tree once more, where the kernel does not see what others do to it."""
    os.makedirs(mount)
    subprocess.run(["bindfs", "-o", "allow_other", tree, mount], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", "-l", mount], check=True)
        os.rmdir(mount)


def row(load, kind, settings, fuse, hears, top, directories):
    """A row of the table of leases, behind its title."""
    with contextlib.ExitStack() as stack:
        tree = os.path.join(top, "tree")
        # Without FUSE, what could be told is polled all the same.
        if fuse and not os.path.exists("/dev/fuse"):
            fuse, settings = False, {**settings, "watch": "poll"}
        path = stack.enter_context(through_fuse(tree, top + "-fuse")) if fuse else tree
        # Debian's smbd opens 16,384 files for each connection, if it is not told otherwise.
        more = {"vfs": "", "extra": "max open files = 200000"} if kind == "smbd" else {}
        polled = fuse or settings.get("watch") == "poll"
        directories = min(directories, room(POLLED_ROOM)) if polled else directories
        server = stack.enter_context(KINDS[kind]({"bench": {"path": path, **settings}}, signing="required", **more))
        told = load(server, "leases", depth=OPENING, connections=HOLDERS, more=[
            "--directories", str(directories), "--files", str(LEASED_FILES), "--tree", tree,
            "--elsewhere", os.path.join(top, "elsewhere"), "--changes", str(ELSEWHERE), *["--broken"] * hears])
    opens, count = directories * (LEASED_FILES + 1), told["files"] + told["directories"]
    line = f"{told['files']:,} + {told['directories']:,} | {told['seconds']:.1f} s | {opens / told['seconds']:,.0f} /s " \
          f"| {told['cpu']:.1f} s | {told['memory'] / opens:,.0f} | {told['rest']:.2f} s | {told['change_cpu']:.2f} s |"
    if hears:
        line += f" {count / told['break_seconds']:,.0f} /s | {told['break_cpu']:.1f} s | {told['break_memory'] / opens:,.0f} |"
    return line if hears else line + " | | |"


def measure(directory, rows, load, report):
    """A server of its own for each row. `load`: runs the load generator."""
    top = tempfile.mkdtemp(prefix="smbgate-leases-", dir=directory)
    os.chmod(top, 0o777)

    def say(text):
        print(text, flush=True)
        report.append(text)

    directories = room()
    few = "" if directories == LEASED else f" This process may open {resource.getrlimit(resource.RLIMIT_NOFILE)[1]:,} files, too few for {LEASED:,} directories."
    try:
        lay_out(top, directories)
        say(f"""
{platform.platform()}, {os.cpu_count()} processors.
Leases on {directories * LEASED_FILES:,} files in {directories:,} directories, kept open by {HOLDERS} connections.{few} Bytes: of the server's memory
for each open. At rest: its processor time in ten seconds. Elsewhere: the same for {ELSEWHERE:,} local changes in a directory
that nobody has open. Breaks: a local program writes to each file, and the clients answer.

| | files + directories | opened in | opens | CPU | bytes | at rest | elsewhere | breaks | CPU | bytes after |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|""")
        for _, title, *how in rows:
            title = title if os.path.exists("/dev/fuse") else title.replace(" bindfs", "")
            try:
                say(f"| {title} | {row(load, *how, top, directories)}")
            except (RuntimeError, OSError, subprocess.SubprocessError) as e:
                say(f"| {title} | failed: {' '.join(str(e).split())[:200]} ||||||||||")
    finally:
        shutil.rmtree(top, ignore_errors=True)
