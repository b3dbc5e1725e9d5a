#!/usr/bin/env python3
"""Permissions as Debian's smbcacls sets and shows them, and as the next user meets them; and the same directory tree
served by smbgate and by Samba's smbd (acl_xattr) at once: both show one descriptor, whoever stored it.

    tests/clients/smbcacls.py

Needs root: smbcacls knows no port but 445, which is forwarded on addresses of loopback, and users have to act as
themselves.
"""

import os
import pwd
import socket
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "common")]
from cases import Cases
from servers import USERS, Smbd, Smbgate
from smbclient import Client, check

FIRST, SECOND = USERS
FULL, READ, CHANGE = "0x001f01ff", "0x00120089", "0x001301bf"
OTHERS = "S-1-1-0"
CREATOR = "S-1-3-0"
DEEP, DEEP_ONLY = "0x3", "0xb"


def sid(user):
    return f"S-1-22-1-{pwd.getpwnam(user[0]).pw_uid}"


def forward(port):
    """Port 445 of an address of its own, onto a port of 127.0.0.1; the address."""
    listener = socket.socket()
    for n in range(2, 255):
        try:
            listener.bind((f"127.0.45.{n}", 445))
            break
        except OSError:
            continue
    else:
        raise RuntimeError("port 445 is taken on every address of loopback: another server listens on all of them")
    listener.listen()

    def pump(a, b):
        try:
            while data := a.recv(1 << 16):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve():
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", port))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[0]


class Acls:
    def __init__(self, server):
        self.server, self.address = server, forward(server.port)

    def call(self, name, *args, user=FIRST):
        p = subprocess.run(["smbcacls", "--numeric", f"//{self.address}/share", name, "-s", "/dev/null",
                            "-U", f"{user[0]}%{user[1]}", *args], capture_output=True, text=True, timeout=60)
        return p.returncode, p.stdout + p.stderr

    def run(self, name, *args, user=FIRST):
        status, out = self.call(name, *args, user=user)
        check(status == 0, f"smbcacls {name} {' '.join(args)}: exit {status}\n{out}")
        return out

    def get(self, name):
        """Owner, group and entries as they are shown."""
        out = self.run(name)
        return [line for line in out.splitlines() if line.split(":")[0] in ("OWNER", "GROUP", "ACL")]

    def entries(self, name):
        return [line.removeprefix("ACL:") for line in self.get(name) if line.startswith("ACL:")]

    def set(self, name, *entries, user=FIRST):
        self.run(name, "-S", ",".join(f"ACL:{e}" for e in entries), user=user)


def entry(who, mask, flags="0x0", kind=0):
    return f"{who}:{kind}/{flags}/{mask}"


class World:
    def __init__(self, gate, smbd, work):
        self.gate, self.smbd, self.work = Acls(gate), Acls(smbd), work
        self.tree = gate.path("share")
        self.source = os.path.join(work, "source")
        with open(self.source, "w") as f:
            f.write("content")

    def client(self, user, server=None):
        client = Client((server or self.gate).server, tempfile.mkdtemp(dir=self.work))
        client.login(*user)
        return client

    def put(self, name, user=FIRST, server=None):
        self.client(user, server).run("share", [f'put {self.source} "{name}"'])

    def mkdir(self, name):
        self.client(FIRST).run("share", [f"mkdir {name}"])

    def reads(self, name, user, allowed, server=None):
        fails = None if allowed else "NT_STATUS_ACCESS_DENIED"
        self.client(user, server).run("share", [f'get "{name}" /dev/null'], fails=fails)


def set_and_shown(w):
    w.put("set")
    want = [entry(sid(FIRST), FULL), entry(sid(SECOND), READ)]
    w.gate.set("set", *want)
    check(sorted(w.gate.entries("set")) == sorted(want), w.gate.entries("set"))
    w.reads("set", SECOND, True)
    status, out = w.gate.call("set", "-S", f"ACL:{entry(OTHERS, FULL)}", user=SECOND)
    check(status != 0 and "ACCESS_DENIED" in out, f"set by who may only read: {out}")
    w.gate.set("set", entry(sid(FIRST), FULL))
    w.reads("set", SECOND, False)


def denied(w):
    w.put("denied")
    w.gate.set("denied", entry(sid(SECOND), "0x00000001", kind=1), entry(OTHERS, FULL))
    w.reads("denied", SECOND, False)
    w.reads("denied", FIRST, True)
    # Not even the owner, until he mends it: that he always may.
    w.gate.set("denied", entry(sid(FIRST), "0x00000001", kind=1), entry(OTHERS, FULL))
    w.reads("denied", FIRST, False)
    w.gate.set("denied", entry(OTHERS, FULL))
    w.reads("denied", FIRST, True)


def inherited(w):
    w.mkdir("in")
    w.gate.set("in", entry(sid(FIRST), FULL), entry(CREATOR, FULL, DEEP_ONLY), entry(sid(SECOND), READ, DEEP))
    w.put("in/file")
    want = [entry(sid(FIRST), FULL), entry(sid(SECOND), READ)]
    check(sorted(w.gate.entries("in/file")) == sorted(want), w.gate.entries("in/file"))
    w.mkdir("in/sub")
    w.put("in/sub/file")
    check(sorted(w.gate.entries("in/sub/file")) == sorted(want), w.gate.entries("in/sub/file"))
    w.reads("in/sub/file", SECOND, True)
    w.client(SECOND).run("share", [f"put {w.source} in/his"], fails="NT_STATUS_ACCESS_DENIED")


def taken(w):
    w.put("taken")
    w.gate.set("taken", entry(sid(SECOND), FULL))
    w.gate.run("taken", "-C", sid(SECOND), user=SECOND)
    owner = os.stat(os.path.join(w.tree, "taken")).st_uid
    check(owner == pwd.getpwnam(SECOND[0]).pw_uid, f"the owner is {owner}")
    status, out = w.gate.call("taken", "-C", sid(FIRST), user=SECOND)
    check(status != 0 and "INVALID_OWNER" in out, f"given away: {out}")


def samba_shows_what_smbgate_stored(w):
    for name, make in (("ours", w.put), ("ours.d", w.mkdir)):
        make(name)
        w.gate.set(name, entry(sid(SECOND), "0x00000002", kind=1), entry(sid(FIRST), FULL, DEEP if ".d" in name else "0x0"),
                   entry(sid(SECOND), READ))
        here, there = w.gate.get(name), w.smbd.get(name)
        check(here == there, f"{name}\nsmbgate {here}\nsmbd    {there}")
    # And what was inherited, in a plain directory and in one with an ACL.
    w.put("ours.d/file")
    here, there = w.gate.get("ours.d/file"), w.smbd.get("ours.d/file")
    check(here == there, f"smbgate {here}\nsmbd    {there}")


def smbgate_shows_what_samba_stored(w):
    w.client(FIRST, w.smbd).run("share", [f"put {w.source} theirs", "mkdir theirs.d"])
    for name in ("theirs", "theirs.d"):
        w.smbd.run(name, "-a", f"ACL:{entry(sid(SECOND), READ, DEEP if '.d' in name else '0x0')}")
        here, there = w.gate.get(name), w.smbd.get(name)
        check(here == there, f"{name}\nsmbgate {here}\nsmbd    {there}")
    # The owner is one of Samba's own accounts there, and the same Unix user.
    check("OWNER:S-1-5-21-" in w.gate.get("theirs")[0], w.gate.get("theirs"))
    w.reads("theirs", FIRST, True)
    w.reads("theirs", SECOND, True)
    w.put("theirs")
    w.client(FIRST, w.smbd).run("share", [f"put {w.source} theirs.d/file"])
    here, there = w.gate.get("theirs.d/file"), w.smbd.get("theirs.d/file")
    check(here == there, f"smbgate {here}\nsmbd    {there}")


def changed_behind(w):
    for server, name in ((w.gate, "behind1"), (w.smbd, "behind2")):
        w.put(name)
        server.set(name, entry(sid(FIRST), CHANGE))
        before = w.gate.get(name)
        check(w.smbd.get(name) == before, f"{name}: {before}\n{w.smbd.get(name)}")
        os.chmod(os.path.join(w.tree, name), 0o604)
        check(w.gate.get(name) != before and w.smbd.get(name) != before, f"{name} is not what the mode says")
        w.reads(name, SECOND, True)


def main():
    if os.geteuid() != 0:
        print("needs root, does nothing\n1 passed, 0 failed")
        return
    cases = Cases()
    # Not /tmp: where that is a tmpfs it may have no extended attributes.
    with tempfile.TemporaryDirectory(prefix="smbcacls-", dir="/var/tmp") as work:
        os.chmod(work, 0o755)
        tree = os.path.join(work, "tree")
        os.mkdir(tree)
        os.chmod(tree, 0o777)
        shares = {"share": {"path": tree}}
        with Smbgate(shares, signing="offered") as gate, Smbd(shares, signing="offered", vfs="acl_xattr") as smbd:
            w = World(gate, smbd, work)
            cases.run("what is set is shown, and holds for the next user", set_and_shown, w)
            cases.run("denied", denied, w)
            cases.run("inherited by files and directories", inherited, w)
            cases.run("ownership is taken where that is granted, and never given", taken, w)
            cases.run("smbd shows what smbgate stored", samba_shows_what_smbgate_stored, w)
            cases.run("smbgate shows what smbd stored", smbgate_shows_what_samba_stored, w)
            cases.run("what is changed behind it ends it, for both", changed_behind, w)
            cases.run("the server's log has no panic", lambda: check(not gate.panics(), gate.panics()))
    cases.close()


if __name__ == "__main__":
    main()
