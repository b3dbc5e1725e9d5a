"""FUSE file systems that show directories of this machine, mounted while the block runs:

    with mounted("sshfs") as (root, far): ...

What stands in `root` is changed behind its back in `far`, the directories that it shows (mergerfs has two).
"""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time

SFTP_SERVER = "/usr/lib/openssh/sftp-server"
NEEDS = {"bindfs": ["bindfs"], "sshfs": ["sshfs", SFTP_SERVER], "mergerfs": ["mergerfs"]}


def missing(kind):
    """Why it cannot be had here. None: it can."""
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        return "it takes root and /dev/fuse"
    return next((f"there is no {tool}" for tool in NEEDS[kind] if not shutil.which(tool)), None)


def served_by(kind, root, far):
    """Its processes; the last one mounts it."""
    options = ["-f", "-o", "allow_other"]
    if kind == "sshfs":
        # SFTP over a socket instead of a network; it keeps nothing that it was told.
        near, end = socket.socketpair()
        with near, end:
            return [subprocess.Popen([SFTP_SERVER], stdin=end, stdout=end),
                    subprocess.Popen(["sshfs", *options, "-o", "passive,dir_cache=no", f"here:{far[0]}", root], stdin=near, stdout=near)]
    return [subprocess.Popen([kind, *options, ":".join(far), root], stdin=subprocess.DEVNULL)]


@contextlib.contextmanager
def mounted(kind):
    """Where it is mounted, and what it shows. Everybody may write there."""
    top = tempfile.mkdtemp(prefix="smbgate-mount-", dir="/var/tmp")
    root, far = os.path.join(top, "root"), [os.path.join(top, name) for name in (["far", "far2"] if kind == "mergerfs" else ["far"])]
    for directory in (root, *far):
        os.mkdir(directory)
    for directory in (top, root, *far):
        os.chmod(directory, 0o777)
    servers = served_by(kind, root, far)
    try:
        end = time.monotonic() + 20
        while os.stat(root).st_dev == os.stat(top).st_dev:
            if servers[-1].poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{kind} does not mount")
            time.sleep(0.005)
        yield root, far
    finally:
        # Whoever still has something open there: nothing stays.
        subprocess.run(["umount", "-l", root], check=False, capture_output=True)
        for server in servers:
            server.kill()
            server.wait()
        shutil.rmtree(top, ignore_errors=True)
