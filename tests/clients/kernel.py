#!/usr/bin/env python3
"""The Linux kernel's client (cifs.ko, in a virtual machine) against the server.

    tests/clients/kernel.py [--server smbgate|smbd] [--backend uml|qemu] [--only options|user|traces|writers|survive] [--dir DIRECTORY | --btrfs] [--on FILE_SYSTEM]... [ARGS]

Five machines, one after the other: guest.sh mounts with every set of options below (or those of ARGS), user.sh does in one
mount what users do all day, traces.sh what some programs do when they save, in writers.py two users and a program on the
server's machine write to one tree, and in survive.py programs go on writing whatever becomes of the server and the connection
(ARGS of both: the mount's options, then the cases). The shares are in DIRECTORY, or on a new btrfs in a file (root,
btrfs-progs), else in /var/tmp; writers.py has some more, on FILE_SYSTEM (btrfs, bindfs, sshfs, mergerfs; all of them unless
some are named, as far as this machine has them). npm is the host's, where it has one. PCAP=FILE keeps what went over the wire,
LOG=FILE what the server said.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "common"))
import fuse
import image
from servers import KINDS, SHARED, Smbgate

MOUNTS = ["vers=2.1", "vers=3.0", "vers=3.0,seal", "vers=3.1.1", "vers=3.1.1,seal"]


class Machine:
    """One run of a script in the machine. Its lines `CASE ok ...` and `CASE FAIL ...` count."""

    def __init__(self, o, script, args, more=lambda server, far: [], view=False, kept_up=False, elsewhere=()):
        self.problems = []
        with contextlib.ExitStack() as stack:
            shares = {"share": {}, "coherent": {"leases": False}, "available": {"continuous_availability": True}}
            if o.dir:
                top = stack.enter_context(tempfile.TemporaryDirectory(dir=o.dir))
                os.chmod(top, 0o755)
                for name in shares:
                    shares[name]["path"] = os.path.join(top, name)
            far = {kind: stack.enter_context(tree(kind, shares)) for kind in elsewhere}
            if view:
                shares["share"]["view"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="smbgate-view-", dir="/var/tmp"))
            server = stack.enter_context(KINDS[o.server](shares, signing="required"))
            if kept_up:
                stack.enter_context(keep_up(server))
            host = os.path.join(HERE, "host.sh")
            vm = subprocess.run(
                [os.path.join(SHARED, "cifs-vm", "cifs-vm"), "run", "--backend", o.backend, "--port", str(server.port),
                 "--share", "share", "--user", server.user, "--pass", server.password, "--no-mount", "--timeout", "1800",
                 *(["--pcap", os.environ["PCAP"]] if "PCAP" in os.environ else []), "--hook", f"{host} {server.path('share')}", *more(server, far), "--", os.path.join(HERE, script), *args],
                stdout=subprocess.PIPE, text=True, errors="replace", stdin=subprocess.DEVNULL)
            lines = [line[5:] for line in vm.stdout.splitlines() if line.startswith("CASE ")]
            again = [line for line in vm.stdout.splitlines() if line.startswith("again: ")]
            print("\n".join(again + lines), flush=True)
            self.passed = sum(line.startswith("ok") for line in lines)
            self.failed = sum(line.startswith("FAIL") for line in lines)
            self.problems += server.panics()
            if "LOG" in os.environ:
                shutil.copy(server.log, os.environ["LOG"])
            # A script that did not come to its end says so by the machine's status, or by having said nothing.
            if vm.returncode > 1 or vm.returncode != (self.failed > 0) or not lines:
                self.problems.append(f"{script}: the machine ended with {vm.returncode}")
            left = [name for share in shares for name in os.listdir(server.path(share))]
            if left:
                self.problems.append(f"left on the server's disk: {left[:5]}")
            if self.failed or self.problems:
                print("\n".join(self.problems), vm.stdout[-3000:], server.tail(), sep="\n", flush=True)


def quickest():
    """User Mode Linux starts in seconds and needs no KVM, but root for its network, and it does not start on processors whose
    floating-point state (AMX) is larger than it knows. QEMU always goes, some ten times slower."""
    if os.geteuid() == 0:
        tried = subprocess.run([os.path.join(SHARED, "cifs-vm", "cifs-vm"), "run", "--backend", "uml", "--port", "1", "--share", "x",
                                "--no-mount", "--timeout", "60", "-c", "true"], capture_output=True, stdin=subprocess.DEVNULL)
        if tried.returncode == 0:
            return "uml"
        print("User Mode Linux does not start on this machine; QEMU it is", flush=True)
        subprocess.run([os.path.join(HERE, "..", "common", "install"), "qemu-system-x86"], check=True)
    return "qemu"


@contextlib.contextmanager
def keep_up(server):
    """As a service manager does: the server is started again whenever it is gone. Its process id is in a file."""
    over = threading.Event()

    def note():
        with open(os.path.join(server.dir, "server.pid"), "w") as f:
            f.write(str(server.process.pid))

    def keep():
        while server.process.wait() is not None and not over.is_set():
            server.start()
            note()
    note()
    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        server.process.terminate()
        keeper.join()


@contextlib.contextmanager
def tree(kind, shares):
    """Two shares on that file system, one of them without leases. The directories that the first one shows, if it can be changed
    behind its back."""
    with image.btrfs() if kind == "btrfs" else fuse.mounted(kind) as made:
        root, far = (made, []) if kind == "btrfs" else made
        for name, keys in ((kind, {}), (f"{kind}-plain", {"leases": False})):
            shares[name] = {"path": os.path.join(root, name), "poll_interval": "100ms", **keys}
            for directory in far:
                os.mkdir(os.path.join(directory, name))
                os.chmod(os.path.join(directory, name), 0o777)
        yield [os.path.join(directory, kind) for directory in far]


def missing(kind):
    if kind != "btrfs":
        return fuse.missing(kind)
    return None if image.can_mount() else "it takes root and mkfs.btrfs"


def writers(server, far):
    """What writers.py and survive.py have to know of this side."""
    user, password = server.users[1]
    trees = {share: {"path": server.path(share)} for share in server.shares}
    for share, directories in far.items():
        trees[share] |= {"far": directories, "plain": server.path(f"{share}-plain")}
    status = [server.binary, "status", "--json", "--config", server.config] if isinstance(server, Smbgate) else []
    known = {"USER2": user, "PASS2": password, "WRITERS": os.path.join(HERE, "writers.py"), "LOGS": server.dir,
             "SERVER_PID": os.path.join(server.dir, "server.pid"), "TREES": json.dumps(trees),
             "STATUS": json.dumps(status)}
    if "view" in server.shares["share"]:
        known["VIEW"] = server.shares["share"]["view"]
    return [word for name, value in known.items() for word in ("--env", f"{name}={value}")]


@contextlib.contextmanager
def node():
    """Options that give the machine the host's node and npm, if there are any: it is built for the same libraries."""
    binary, npm = shutil.which("node"), shutil.which("npm")
    with tempfile.TemporaryDirectory(prefix="smbgate-node-") as directory:
        if binary and npm:
            shutil.copy(binary, os.path.join(directory, "node"))
            shutil.copytree(os.path.dirname(os.path.dirname(os.path.realpath(npm))), os.path.join(directory, "npm"), symlinks=True)
        yield lambda server, far: ["--dir", directory, "--mem", "2G"]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--server", choices=KINDS, default="smbgate")
    options.add_argument("--backend", choices=["uml", "qemu"])
    options.add_argument("--only", choices=["options", "user", "traces", "writers", "survive"])
    options.add_argument("--dir")
    options.add_argument("--btrfs", action="store_true")
    options.add_argument("--on", action="append", choices=["btrfs", *fuse.NEEDS])
    options.add_argument("args", nargs="*", metavar="ARGS")
    o = options.parse_args()
    o.backend = o.backend or quickest()
    with image.btrfs() if o.btrfs else contextlib.nullcontext(o.dir) as o.dir:
        failed = play(o)
    sys.exit(failed > 0)


def play(o):
    """How much failed."""
    runs = []
    wanted = [o.only] if o.only else ["options"] if o.args else ["options", "user", "traces", "writers", "survive"]
    if "options" in wanted:
        runs.append(Machine(o, "guest.sh", o.args or MOUNTS))
        # A set of options that the machine never came to counts as failed.
        runs[0].failed = len(o.args or MOUNTS) - runs[0].passed
    if "user" in wanted:
        runs.append(Machine(o, "user.sh", o.args or ["vers=3.1.1"]))
    if "traces" in wanted:
        with node() as more:
            runs.append(Machine(o, "traces.sh", o.args or ["vers=3.1.1"], more))
    if "writers" in wanted:
        # The view is smbgate's, and needs /dev/fuse.
        view = o.server == "smbgate" and os.geteuid() == 0 and os.path.exists("/dev/fuse")
        why = {kind: missing(kind) for kind in o.on or ["btrfs", *fuse.NEEDS] if o.server == "smbgate"}
        print("".join(f"{kind} skipped: {trouble}\n" for kind, trouble in why.items() if trouble), end="", flush=True)
        elsewhere = [kind for kind, trouble in why.items() if not trouble]
        runs.append(Machine(o, "writers.py", ["guest", *(o.args or ["vers=3.1.1"])], writers, view, elsewhere=elsewhere))
    if "survive" in wanted:
        runs.append(Machine(o, "survive.py", o.args or ["vers=3.1.1"], writers, kept_up=True))
    failed = sum(run.failed + len(run.problems) for run in runs)
    print(f"{sum(run.passed for run in runs)} passed, {failed} failed")
    return failed


if __name__ == "__main__":
    main()
