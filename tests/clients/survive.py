#!/usr/bin/env python3
"""Programs on the kernel's client write while the connection is cut, the server killed, upgraded, restarted (see kernel.py):
none of them sees an error, what is on the disk in the end is what they wrote, their locks are held throughout, and the server
has the open that each began with, not a new one.

    survive.py OPTIONS [EVENT|MOUNT ...]      in the virtual machine; one line "CASE ok|FAIL EVENT MOUNT" each

Every mount has a connection of its own, and its writer a file of its own; what happens happens to all of them at once.
"""

import collections
import errno
import fcntl
import hashlib
import json
import os
import shlex
import subprocess
import sys
import threading
import time

# Share and further options of each mount. The share `coherent` grants no leases: no handle is durable there, but a resilient one.
MOUNTS = {
    "durable": ("share", ""),
    "durable_sealed": ("share", "seal"),
    "durable_uncached": ("share", "cache=none"),
    "resilient": ("share", "resilienthandles"),
    "resilient_without_lease": ("coherent", "resilienthandles,cache=none"),
    "persistent": ("available", "persistenthandles"),
    "persistent_sealed": ("available", "persistenthandles,seal"),
    "persistent_uncached": ("available", "persistenthandles,cache=none"),
}
# What happens. The signals go to the server, which kernel.py starts anew when it is gone.
EVENTS = {"connection_cut": None, "server_killed": "KILL", "server_upgraded": "USR2", "server_restarted": "TERM",
          "connection_cut_in_a_break": None, "server_killed_in_a_break": "KILL"}
TIMES = 2
BLOCK = 16384
# The lock is on the first half of the file, and on all that may ever be in the other.
LOCKED = 64 * BLOCK
# From an event to a writer's having got something to the disk again, in seconds.
PATIENCE = 60

# What this client (Linux 6.1) tells a program whose fsync, or write past the cache, is under way when the connection is lost, or
# comes first after that: once for each event. All of it was seen beside smbd, too. EAGAIN, ECONNABORTED and EIO are its own: on the
# wire (unsealed by the password) no FLUSH and no WRITE is answered with an error. EBADF: an fsync does not ask for the handle again,
# as reads and writes do, and FLUSH goes out with the file id of before. A page that could not be sent for it is forgotten, so what
# was written since the last fsync is written again, and then it succeeds.
ONCE_MORE = {"fsync": (errno.EAGAIN, errno.EBADF, errno.ECONNABORTED, errno.EIO), "write": (errno.ECONNABORTED,)}


class Writer(threading.Thread):
    """Numbered blocks at the end of a file, now and then one written over; `kept` is what the disk is to have."""

    def __init__(self, name, path):
        super().__init__(daemon=True)
        self.name, self.path = name, path
        self.share, self.file_name = MOUNTS[name][0], os.path.basename(path)
        self.on_disk = f"{json.loads(os.environ['TREES'])[self.share]['path']}/{self.file_name}"
        self.seen_from_elsewhere = f"/m/other-{self.share}/{self.file_name}"
        self.kept, self.wrong, self.synced, self.slowest = bytearray(), "", 0, 0.0
        # What may fail since the last event, and did.
        self.excused, self.again = set(), collections.Counter()
        # Where blocks were written since the last fsync.
        self.unsynced = set()
        self.enough = threading.Event()
        self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        fcntl.lockf(self.file, fcntl.LOCK_EX, LOCKED)

    def run(self):
        try:
            n = 0
            while not self.enough.is_set():
                self.turn(n)
                n += 1
                # A pause that lets the others have the machine's one processor.
                time.sleep(0.01)
            self.does("fsync", os.fsync)
            os.close(self.file)
        except (OSError, AssertionError) as e:
            self.wrong = f"after {len(self.kept)} bytes: {type(e).__name__} {e}"

    def turn(self, n):
        self.put(len(self.kept), n)
        if n % 5 == 4:
            self.put(n * 7919 % len(self.kept) // BLOCK * BLOCK, n)
        if n % 8 == 7:
            self.does("fsync", os.fsync)
            self.synced += 1
        if n % 11 == 10:
            os.posix_fadvise(self.file, 0, 0, os.POSIX_FADV_DONTNEED)
            at = n * 104729 % len(self.kept) // BLOCK * BLOCK
            read = self.does("read", os.pread, BLOCK, at)
            assert read == self.kept[at:at + BLOCK], f"block {at // BLOCK} reads {read[:24]}"

    def put(self, at, n):
        block = f"{self.name} {n} at {at} ".encode()
        block = (block * (BLOCK // len(block) + 1))[:BLOCK]
        written = self.does("write", os.pwrite, block, at)
        assert written == BLOCK, f"{written} of {BLOCK} bytes written"
        self.kept[at:at + BLOCK] = block
        self.unsynced.add(at)

    def does(self, what, call, *args):
        while True:
            try:
                done = call(self.file, *args)
                if what == "fsync":
                    self.unsynced.clear()
                return done
            except OSError as e:
                if what not in self.excused or e.errno not in ONCE_MORE[what]:
                    raise AssertionError(f"{what} {args[-1:]}: {e}, after {dict(self.again)}") from e
                self.excused.discard(what)
                self.again[f"{what} {errno.errorcode[e.errno]}"] += 1
            if what == "fsync":
                for at in sorted(self.unsynced or {len(self.kept) - BLOCK}):
                    self.does("write", os.pwrite, bytes(self.kept[at:at + BLOCK]), at)

    def goes_on(self, began):
        """Two more syncs: the second began after this was asked."""
        seen, deadline = self.synced, time.monotonic() + PATIENCE
        while self.synced < seen + 2 and not self.wrong:
            if time.monotonic() > deadline:
                self.wrong = f"after {len(self.kept)} bytes: nothing got to the disk for {PATIENCE} s"
            time.sleep(0.02)
        self.slowest = max(self.slowest, time.monotonic() - began)

    def has(self, first, now):
        """The handle that the server had of it at first, and none besides."""
        persistent = "persistenthandles" in MOUNTS[self.name][1]
        if first is not None and not self.wrong:
            if len(first) != 1 or first[0]["durable_seconds"] is None or first[0]["persistent"] != persistent:
                self.wrong = f"no handle that survives: {first}"
            elif [open["id"] for open in now] != [first[0]["id"]] or not now[0]["session"]:
                self.wrong = f"not the handle of before, which was {first}: {now}"


def host(command):
    return subprocess.run(["hostctl", "hook", command], capture_output=True, text=True, timeout=60).stdout.strip()


class Shell:
    """Runs commands though writers hang: it is a process from before they opened their files, so that no file is flushed when it
    starts another."""

    def __init__(self):
        self.bash = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, command):
        print(f"{{ {command}; }} >/dev/null; echo $?", file=self.bash.stdin, flush=True)
        if self.bash.stdout.readline() != "0\n":
            raise RuntimeError(command)

    def close(self):
        self.bash.stdin.close()
        self.bash.wait()


def happen(event, writers, shell):
    for writer in writers:
        writer.excused = set(ONCE_MORE)
    signal = EVENTS[event]
    request = f"hook 'kill -{signal} $(cat {os.environ['SERVER_PID']})'" if signal else "drop"
    if event.endswith("in_a_break"):
        # A program on the server's machine opens the files. The client does not hear that its leases are broken until the
        # connection is lost, long enough for the server to have stored it.
        opens = f"cat {' '.join(writer.on_disk for writer in writers)} >/dev/null && sleep 0.2"
        shell.run(f"hostctl stall on && hostctl hook '{opens}' && hostctl {request} && hostctl stall off")
    else:
        shell.run(f"hostctl {request}")


def opens(writers):
    """What the server has open of each writer's file, if it says so (smbgate does)."""
    command = json.loads(os.environ["STATUS"])
    if not command:
        return {}
    status = json.loads(host(shlex.join(command)))
    return {writer.name: [open for open in status["opens"] if open["share"] == writer.share and open["path"] == writer.file_name]
            for writer in writers}


def refused(path):
    """Another client does not get the lock."""
    other = os.open(path, os.O_RDWR)
    try:
        fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB, 10)
    except OSError as e:
        return e.errno in (errno.EACCES, errno.EAGAIN)
    finally:
        os.close(other)
    return False


def outcome(writer):
    """What is wrong in the end, as the disk has it."""
    path = writer.on_disk
    on_disk, size, *_ = host(f"sha256sum <{path}; stat -c %s {path}; rm {path}").replace("-", "").split() + ["", ""]
    if not writer.wrong and on_disk != hashlib.sha256(writer.kept).hexdigest():
        writer.wrong = f"{len(writer.kept)} bytes were written, and others are on the disk ({size})"
    again = "".join(f", {what} {count} times" for what, count in writer.again.items())
    return f": {writer.wrong}" if writer.wrong else f"  {len(writer.kept) >> 10} KiB, longest {writer.slowest:.1f} s{again}"


def phase(event, mounts):
    """One event, a few times, in mid write. True: no writer had to complain."""
    shell = Shell()
    writers = [Writer(name, f"/m/{name}/{event}.{name}") for name in mounts]
    for writer in writers:
        writer.start()
    began_with = {}
    for n in range(TIMES + 1):
        began = time.monotonic()
        if n > 0:
            happen(event, writers, shell)
        for writer in writers:
            writer.goes_on(began)
        now = opens(writers)
        began_with = began_with or now
        for writer in writers:
            # A durable handle whose lease is being broken when its client is lost is closed, for who wants the file.
            if event != "connection_cut_in_a_break" or not writer.name.startswith("durable"):
                writer.has(began_with.get(writer.name), now.get(writer.name))
    for writer in writers:
        if not writer.wrong and not refused(writer.seen_from_elsewhere):
            writer.wrong = "another client gets its lock"
        writer.enough.set()
    shell.close()
    for writer in writers:
        writer.join(PATIENCE)
        if writer.is_alive():
            writer.wrong = writer.wrong or "it does not end"
        said = outcome(writer)
        print(f"CASE {'FAIL ' if writer.wrong else 'ok   '} {event} {writer.name}{said}", flush=True)
    return not any(writer.wrong for writer in writers)


def mount(where, share, options):
    e = os.environ
    os.makedirs(where)
    subprocess.run(["mount", "-t", "cifs", f"//{e['SERVER']}/{share}", where, "-o",
                    f"port={e['PORT']},credentials={e['CREDS']},nosharesock,{options}"], check=True)


def main():
    options, *wanted = sys.argv[1:]
    chosen = [name for name in MOUNTS if name in wanted] or list(MOUNTS)
    mounts = {name: (MOUNTS[name][0], f"{options},{MOUNTS[name][1]}".rstrip(",")) for name in chosen}
    mounts |= {f"other-{share}": (share, options) for share, _ in map(MOUNTS.get, chosen)}
    for name, (share, more) in mounts.items():
        mount(f"/m/{name}", share, more)
    good = [phase(event, chosen) for event in [event for event in EVENTS if event in wanted] or EVENTS]
    for name in mounts:
        subprocess.run(["umount", f"/m/{name}"], check=True)
    return not all(good)


if __name__ == "__main__":
    sys.exit(main())
