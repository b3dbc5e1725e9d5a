#!/usr/bin/env python3
"""What the keys of a share do, and what happens to it while it is used: as smbclient and the server's disk see it.

    tests/clients/shares.py
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "common")]
from cases import Cases
from servers import USERS, Smbgate
from smbclient import Client, check

ROOT = os.geteuid() == 0
SECOND = USERS[1]


def shares(top):
    both = os.path.join(top, "both")
    os.mkdir(both)
    os.chmod(both, 0o777)
    return {
        "share": {},
        "guests": {"guest": "rw"}, "guests_read": {"guest": "ro"},
        "allowed": {"allow": {USERS[0][0]: "rw", SECOND[0]: "ro"}}, "others": {"allow": {SECOND[0]: "rw"}},
        "modes": {"file_mode": "0640", "dir_mode": "0750"},
        "hidden": {"hidden": True},
        "one": {"path": both}, "two": {"path": both},
        "never": {"symlinks": "never"},
        "small": {"path": os.path.join(top, "small")}, "goes": {"path": os.path.join(top, "goes")},
        **({"owned": {"owner": f"{SECOND[0]}:{SECOND[0]}"}} if ROOT else {}),
    }


class User(Client):
    def __init__(self, server, work, name=USERS[0]):
        super().__init__(server, tempfile.mkdtemp(dir=work))
        self.login(*name)
        self.source = os.path.join(work, "source")


def guests(server, work):
    with open(server.path("guests_read") + "/there", "w") as f:
        f.write("x")
    guest = User(server, work, ("", ""))
    guest.run("guests", [f"put {guest.source} new", "mkdir d", "rmdir d", "get new /dev/null", "del new"])
    guest.run("guests_read", ["get there /dev/null"])
    guest.run("guests_read", [f"put {guest.source} new"], fails="NT_STATUS_ACCESS_DENIED")
    guest.run("share", ["ls"], fails="NT_STATUS_")


def allow(server, work):
    first, second = User(server, work), User(server, work, SECOND)
    first.run("allowed", [f"put {first.source} f"])
    second.run("allowed", ["get f /dev/null"])
    second.run("allowed", ["del f"], fails="NT_STATUS_ACCESS_DENIED")
    second.run("allowed", [f"put {first.source} new"], fails="NT_STATUS_ACCESS_DENIED")
    first.run("allowed", ["del f"])
    first.run("others", ["ls"], fails="NT_STATUS_ACCESS_DENIED")
    second.run("others", ["ls"])


def modes(server, work):
    User(server, work).run("modes", [f"put {work}/source f", "mkdir d"])
    made = [oct(os.stat(os.path.join(server.path("modes"), name)).st_mode & 0o7777) for name in ("f", "d")]
    check(made == ["0o640", "0o750"], f"{made}")


def owner(server, work):
    import pwd
    for user, share, expected in ((USERS[0], "share", USERS[0][0]), (USERS[0], "owned", SECOND[0])):
        User(server, work, user).run(share, [f"put {work}/source f"])
        found = pwd.getpwuid(os.stat(server.path(share) + "/f").st_uid).pw_name
        check(found == expected, f"{share}: {found}")
        User(server, work, user).run(share, ["del f"])


def hidden(server, work):
    user = User(server, work)
    _, out = user.call("-L", "//127.0.0.1")
    check("modes" in out and "hidden" not in out, out)
    user.run("hidden", ["ls"])


def one_path_twice(server, work):
    user = User(server, work)
    user.run("one", [f"put {user.source} f"])
    user.run("two", ["rename f F", "ls F", "mkdir d"])
    user.run("one", ["get F /dev/null", "del f", "rmdir d"])
    check(os.listdir(server.path("one")) == [], "something is left")


def case(server, work):
    user = User(server, work)
    user.run("share", [f"put {user.source} case", "rename case CASE", "get cASE /dev/null"])
    check(os.listdir(server.path("share")) == ["CASE"], "the case did not change")
    user.run("share", ["del case"])


def links(server, work):
    user = User(server, work)
    for share, inside in (("share", True), ("never", False)):
        top = os.path.join(server.path(share), "links")
        os.makedirs(top + "/d")
        shutil.copy(user.source, top + "/d/f")
        for name, target in (("in", "d/f"), ("out", "/etc/passwd"), ("up", "../../../../etc/passwd")):
            os.symlink(target, f"{top}/{name}")
        stopped = "NT_STATUS_STOPPED_ON_SYMLINK"
        user.run(share, ["get in /dev/null"], fails=None if inside else stopped, folder="links")
        for name in ("out", "up"):
            user.run(share, [f"get {name} /dev/null"], fails=stopped, folder="links")
            user.run(share, [f"put {user.source} {name}"], fails="NT_STATUS_", folder="links")
        shutil.rmtree(top)


def full_disk(server, work):
    user, small = User(server, work), server.path("small")
    big = os.path.join(work, "big")
    with open(big, "wb") as f:
        f.truncate(12 << 20)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0777", "tmpfs", small], check=True)
    try:
        user.run("small", ["ls"])
        user.run("small", [f"put {big} big"], fails="NT_STATUS_DISK_FULL")
        user.run("small", ["del big", f"put {user.source} f", "get f /dev/null", "ls"])
        user.run("share", ["ls"])
    finally:
        subprocess.run(["umount", "-l", small], check=False)


def path_goes_and_comes(server, work):
    user, path = User(server, work), server.path("goes")
    user.run("goes", [f"put {user.source} f"])
    shutil.rmtree(path)
    user.run("goes", ["ls"], fails="NT_STATUS_")
    user.run("goes", [f"put {user.source} f"], fails="NT_STATUS_")
    check(not os.path.exists(path), "the server made the path")
    user.run("share", ["ls"])
    os.mkdir(path)
    os.chmod(path, 0o777)
    until(lambda: "NT_STATUS_" not in user.call("//127.0.0.1/goes", "-c", f"put {user.source} g")[1])
    check(os.listdir(path) == ["g"], f"{os.listdir(path)}")


def until(condition, limit=10):
    end = time.monotonic() + limit
    while not condition():
        check(time.monotonic() < end, "it did not happen")
        time.sleep(0.1)


def reload_while_copying(server, work):
    """A FIFO as the client's file: the copy goes on exactly as far as it is read here."""
    user, fifo = User(server, work), os.path.join(work, "fifo")
    os.mkfifo(fifo)
    size = 20 << 20
    with open(server.path("share") + "/big", "wb") as f:
        f.truncate(size)
    copy = subprocess.Popen(["smbclient", "//127.0.0.1/share", "-s", "/dev/null", "-A", user.auth, "-p", str(server.port),
                             "-c", f"get big {fifo}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # Were the copy to end early, opening the FIFO would not.
    ended = threading.Timer(20, lambda: os.close(os.open(fifo, os.O_RDWR)))
    ended.start()
    try:
        with open(fifo, "rb") as f:
            got = len(f.read(1 << 20))
            with open(server.config, "a") as config:
                config.write(f'\n[[share]]\nname = "late"\npath = "{server.path("one")}"\n')
            server.process.send_signal(signal.SIGHUP)
            until(lambda: "NT_STATUS_" not in User(server, work).call("//127.0.0.1/late", "-c", "ls")[1])
            check(copy.poll() is None, "the copy ended")
            got += len(f.read())
        check(copy.wait(20) == 0 and got == size, f"{got} bytes came")
    finally:
        ended.cancel()
        with contextlib.suppress(ProcessLookupError):
            copy.kill()
        copy.wait()
        os.remove(server.path("share") + "/big")


def main():
    cases = Cases()
    with tempfile.TemporaryDirectory(prefix="smbgate-shares-", dir="/var/tmp") as work:
        os.chmod(work, 0o755)
        with open(os.path.join(work, "source"), "wb") as f:
            f.write(os.urandom(5000))
        with Smbgate(shares(work), signing="required") as server:
            run = lambda name, function: cases.run(name, function, server, work)
            run("guests", guests)
            run("allow", allow)
            run("file_mode and dir_mode", modes)
            run("hidden", hidden)
            run("two shares of one path", one_path_twice)
            run("a name's case", case)
            run("symlinks", links)
            if ROOT:
                run("owner", owner)
                run("a full disk", full_disk)
            run("a path that goes and comes", path_goes_and_comes)
            run("a reload while a client copies", reload_while_copying)
            cases.run("the server's log has no panic", lambda: check(not server.panics(), server.panics()))
    cases.close()


if __name__ == "__main__":
    main()
