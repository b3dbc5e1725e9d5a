#!/usr/bin/env python3
"""Debian's smbclient against the server: every dialect, plain, signed and sealed.

    tests/clients/smbclient.py [--server smbgate|smbd]

What is put is compared on the server's disk, and what comes back with what was sent.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common"))
from cases import Cases
from servers import KINDS

DIALECTS = ["SMB2_02", "SMB2_10", "SMB3_00", "SMB3_02", "SMB3_11"]
FILES = {"empty": 0, "one": 1, "page": 4096, "big": (8 << 20) + 4097,
         "with space.txt": 700, "grüße aus köln.txt": 65537, "😀 emoji.bin": 70000, "日本語": 33,
         "sub/deep/deeper/leaf": 1234, "sub/x": 100, "sub/y.dat": 200000, "UPPER.TXT": 10}


def digests(top):
    """Every file and folder below top: the file's SHA-256, None for a folder."""
    found = {}
    for folder, folders, files in os.walk(top):
        for name in files:
            with open(os.path.join(folder, name), "rb") as f:
                found[os.path.relpath(f.name, top)] = hashlib.file_digest(f, "sha256").hexdigest()
        found.update({os.path.relpath(os.path.join(folder, d), top): None for d in folders})
    return found


def check(condition, what):
    if not condition:
        raise AssertionError(what)


class Client:
    host = "127.0.0.1"

    def __init__(self, server, work, options=()):
        self.server, self.options = server, list(options)
        self.auth = os.path.join(work, "auth")
        self.login(server.user, server.password)

    def login(self, user, password):
        with open(self.auth, "w") as f:
            f.write(f"username = {user}\npassword = {password}\ndomain = WORKGROUP\n")

    def credentials(self):
        return ["-A", self.auth]

    def environment(self):
        return os.environ

    def call(self, *args):
        p = subprocess.run(["smbclient", *args, "-s", "/dev/null", *self.credentials(), "-p", str(self.server.port),
                            *self.options],
                           capture_output=True, text=True, errors="replace", timeout=120, stdin=subprocess.DEVNULL,
                           env={**self.environment(), "LC_ALL": "C.UTF-8"})
        return p.returncode, p.stdout + p.stderr

    def run(self, share, commands, fails=None, folder="."):
        """Runs commands in a folder of the share; with fails, that status has to come out of it."""
        status, out = self.call(f"//{self.host}/{share}", "-D", folder, "-c", "; ".join(commands))
        if fails:
            check(fails in out, f"expected {fails} from {commands}: {out}")
        else:
            # smbclient's exit status is that of its last command only.
            errors = [line for line in out.splitlines() if "NT_STATUS_" in line] or [f"exit {status}"]
            check(status == 0 and "NT_STATUS_" not in out, f"{errors} from {commands}")
        return out


def session(server, share, options, tree, work, kind=Client):
    """One case: the whole life of a tree of files."""
    client = kind(server, work, options)
    folder = os.path.basename(work)
    client.run(share, [f"mkdir {folder}"])
    disk = os.path.join(server.path(share), folder)
    run = lambda *commands, **kw: client.run(share, commands, folder=folder, **kw)
    want = digests(tree)

    run(f'lcd "{tree}"', "mkdir put", "cd put",
        *(f'put "{name}" "{os.path.basename(name)}"' for name in FILES))
    check(digests(disk + "/put") == {os.path.basename(n): want[n] for n in FILES}, "put: the files differ on the disk")

    run(f'lcd "{tree}"', "mkdir up", "cd up", "recurse ON", "prompt OFF", "mput *")
    check(digests(disk + "/up") == want, "mput: the tree differs on the disk")
    down = os.path.join(work, "down")
    os.mkdir(down)
    run(f'lcd "{down}"', "cd up", "recurse ON", "prompt OFF", "mget *")
    check(digests(down) == want, "mget: the tree differs here")
    run(f'get put/big "{work}/again"')
    with open(work + "/again", "rb") as f:
        check(hashlib.file_digest(f, "sha256").hexdigest() == want["big"], "get: big differs")

    out = run("cd put", "ls")
    for name in FILES:
        name = os.path.basename(name)
        check(re.search(rf"^  {re.escape(name)} +\w* +{os.path.getsize(disk + '/put/' + name)} ", out, re.M),
              f"ls does not show {name!r}:\n{out}")
    check(re.search(r"\d+ blocks of size \d+\. \d+ blocks available", out), f"ls shows no free space:\n{out}")
    out = run("cd put", "ls *.txt")
    check("with space.txt" in out and "UPPER.TXT" in out and "page" not in out, f"ls *.txt:\n{out}")
    out = run("allinfo put/page")
    check(all(w in out for w in ("create_time:", "write_time:", "attributes:", "4096 bytes")), f"allinfo:\n{out}")
    out = run("cd put", "du *")
    check(f"Total number of bytes: {sum(FILES.values())}" in out, f"du:\n{out}")

    run("rename put/one put/uno", 'rename "put/with space.txt" "up/sub/moved across.txt"')
    check(os.path.getsize(disk + "/put/uno") == 1 and not os.path.exists(disk + "/put/one"), "rename")
    check(os.path.getsize(disk + "/up/sub/moved across.txt") == 700, "rename into another folder")
    run("ls PUT/UNO", "ls put/upper.txt")
    run("rename put/uno put/page", fails="NT_STATUS_OBJECT_NAME_COLLISION")

    run("mkdir made", "mkdir made/inner")
    check(os.path.isdir(disk + "/made/inner"), "mkdir")
    run("mkdir made", fails="NT_STATUS_OBJECT_NAME_COLLISION")
    run("rmdir made", fails="NT_STATUS_DIRECTORY_NOT_EMPTY")
    run("rmdir made/inner", "rmdir made")
    check(not os.path.exists(disk + "/made"), "rmdir")
    run("get nowhere /dev/null", fails="NT_STATUS_OBJECT_NAME_NOT_FOUND")
    run("get missing/nowhere /dev/null", fails="NT_STATUS_OBJECT_PATH_NOT_FOUND")

    run("del put/empty", "cd put", "del *.txt")
    left = {os.path.basename(n) for n in FILES if not n.lower().endswith(".txt")} - {"empty", "one"} | {"uno"}
    check(set(digests(disk + "/put")) == left, f"del left {sorted(os.listdir(disk + '/put'))}")
    run("deltree put", "deltree up")
    check(os.listdir(disk) == [], f"deltree left {os.listdir(disk)}")


def listing(server, work):
    status, out = Client(server, work).call("-L", "//127.0.0.1")
    check(status == 0, f"-L: exit {status}\n{out}")
    for share in ("share", "sealed"):
        check(re.search(rf"^\s+{share} +Disk", out, re.M), f"-L does not list {share}:\n{out}")
    check(re.search(r"^\s+IPC\$ +IPC", out, re.M), f"-L does not list IPC$:\n{out}")


def refused(server, work, user, password, expected="NT_STATUS_LOGON_FAILURE"):
    client = Client(server, work)
    client.login(user, password)
    client.run("share", ["ls"], fails=expected)
    client.login(server.user, server.password)
    client.run("share", ["ls"])


def read_only(server, work):
    client = Client(server, work)
    with open(server.path("ro") + "/there", "w") as f:
        f.write("x")
    client.run("ro", ["get there /dev/null"])
    for command in ("put /etc/hostname new", "mkdir new", "rename there new"):
        client.run("ro", [command], fails="NT_STATUS_ACCESS_DENIED" if server.kind == "smbgate" else "NT_STATUS_")
    client.run("ro", ["del there"], fails="NT_STATUS_")
    check(os.listdir(server.path("ro")) == ["there"], "something was written")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--server", choices=KINDS, default="smbgate")
    kind = options.parse_args().server
    shares = {"share": {}, "sealed": {"encryption": "required"}, "ro": {"read_only": True}}
    cases = Cases()
    with tempfile.TemporaryDirectory(prefix="smbclient-") as work, \
            KINDS[kind](shares, signing="offered") as offers, KINDS[kind](shares, signing="required") as requires:
        offers.kind = requires.kind = kind
        tree = os.path.join(work, "tree")
        for name, size in FILES.items():
            os.makedirs(os.path.dirname(os.path.join(tree, name)), exist_ok=True)
            with open(os.path.join(tree, name), "wb") as f:
                f.write(os.urandom(size))

        def case(mode, dialect, server, share, *options):
            own = tempfile.mkdtemp(prefix="case-", dir=work)
            options = ["-m", dialect, f"--option=client min protocol={dialect}", *options]
            cases.run(f"smbclient {dialect} {mode}", session, server, share, options, tree, own)

        for dialect in DIALECTS:
            case("plain", dialect, offers, "share", "--client-protection=off")
            case("signed, as the server requires it", dialect, requires, "share")
            if dialect >= "SMB3":
                case("sealed, as the share requires it", dialect, offers, "sealed")
        case("sealed, as the client requires it", "SMB3_11", requires, "share", "--client-protection=encrypt")
        cases.run("smbclient -L", listing, offers, work)
        cases.run("a share that is read only", read_only, requires, work)
        cases.run("a client without encryption on a sealed share",
                  lambda: Client(offers, work, ["-m", "SMB2_10"]).run("sealed", ["ls"], fails="NT_STATUS_ACCESS_DENIED"))
        cases.run("no such share",
                  lambda: Client(offers, work).run("nosuch", ["ls"], fails="NT_STATUS_BAD_NETWORK_NAME"))
        cases.run("a wrong password", refused, offers, work, offers.user, "wrong")
        cases.run("an unknown user", refused, offers, work, "smbgate-nobody", "wrong")
        cases.run("no user", refused, offers, work, "", "", "NT_STATUS_")
        cases.run("the server's log has no panic",
                  lambda: check(not offers.panics() + requires.panics(), offers.panics() + requires.panics()))
    cases.close()


if __name__ == "__main__":
    main()
