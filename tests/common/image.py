"""A file system in a file, mounted while the block runs: with btrfs() as path: ..."""

import contextlib
import os
import shutil
import subprocess
import tempfile


def can_mount():
    """Only root mounts; and not every machine has the tool or the file system."""
    with open("/proc/filesystems") as f:
        known = "btrfs" in f.read() or shutil.which("modprobe")
    return os.geteuid() == 0 and known and shutil.which("mkfs.btrfs", path=f"{os.defpath}:/usr/sbin:/sbin")


@contextlib.contextmanager
def btrfs(size="512M"):
    """The path of its root, which everybody may write to."""
    with tempfile.TemporaryDirectory(prefix="smbgate-image-", dir="/var/tmp") as directory:
        os.chmod(directory, 0o755)
        image, root = os.path.join(directory, "image"), os.path.join(directory, "root")
        os.mkdir(root)
        subprocess.run(["truncate", "-s", size, image], check=True)
        subprocess.run(["/usr/sbin/mkfs.btrfs", "-q", image], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", image, root], check=True)
        try:
            os.chmod(root, 0o777)
            yield root
        finally:
            subprocess.run(["umount", "-l", root], check=False)
