#!/usr/bin/env python3
"""pjdfstest and fio through a local view: each of their tests ends as it does on a plain directory of the same file system.

    tests/clients/posix.py [TEST...]

As root: it acts as several users. pjdfstest is built in target/tools, once.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "common"))
from servers import TOP, Smbgate

VERSION = "0.2.2"
CONFIG = """
[features]
posix_fallocate = {}
utime_now = {}
utimensat = {}
rename_ctime = {}
[settings]
naptime = 0.01
allow_remount = false
[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"], ["bin", "bin"]]
"""
# The C library knows how many links a file may have by the kind of file system; of FUSE it knows nothing.
DIFFERENT = {"link::link_count_max": ("ok", "skipped")}


def built():
    tools = os.path.join(os.environ.get("CARGO_TARGET_DIR") or os.path.join(TOP, "target"), "tools")
    cargo = [os.environ.get("CARGO", "cargo"), "install", "--quiet", "--locked", "pjdfstest", "--version", VERSION]
    subprocess.run([*cargo, "--root", tools, "--target-dir", os.path.join(tools, "build")], check=True)
    return os.path.join(tools, "bin", "pjdfstest")


def results(program, config, directory, tests):
    """{test: ok, FAILED or skipped}, and all that was said."""
    said = subprocess.run([program, "-c", config, "-p", directory, *tests], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, errors="replace").stdout
    return dict(re.findall(r"^([a-z_0-9:]+) +(ok|FAILED|skipped)$", said, re.M)), said


def fio(directory):
    """{fio NAME: ok or FAILED}: what is written is read back, block by block, with checksums."""
    done = {}
    for name, how in {"buffered": ["--ioengine=psync"], "direct": ["--ioengine=psync", "--direct=1"],
                      "mapped": ["--ioengine=mmap"], "sync": ["--ioengine=psync", "--sync=1", "--size=1M"]}.items():
        status = subprocess.run(["fio", "--name=data", f"--directory={directory}", "--size=32M", "--rw=randwrite", "--bs=4k",
                                 "--fallocate=none", "--verify=crc32c", "--do_verify=1", "--verify_fatal=1", *how],
                                stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, cwd=directory).returncode
        done[f"fio {name}"] = "FAILED" if status else "ok"
        os.unlink(os.path.join(directory, "data.0.0"))
    return done


def main():
    if os.geteuid() != 0:
        sys.exit("tests/clients/posix.py: only root can act as other users")
    program = built()
    # The longest path is one of the share's own directory too, which must not be longer than the view's.
    view = tempfile.mkdtemp(prefix="smbgate-view-of-a-share-", dir="/var/tmp")
    plain = tempfile.mkdtemp(prefix="smbgate-plain-", dir="/var/tmp")
    with Smbgate({"s": {"view": view}}) as server:
        for directory in [server.path("s"), plain]:
            os.chmod(directory, 0o755)
        config = os.path.join(server.dir, "pjdfstest.toml")
        with open(config, "w") as f:
            f.write(CONFIG)
        there, said_there = results(program, config, plain, sys.argv[1:])
        here, said = results(program, config, view, sys.argv[1:])
        if not sys.argv[1:]:
            there.update(fio(plain))
            here.update(fio(view))
        assert os.path.ismount(view), server.tail()
        panics = server.panics()
    os.rmdir(view)
    shutil.rmtree(plain)
    wrong = [t for t in sorted({*there, *here}) if (there.get(t), here.get(t)) != DIFFERENT.get(t, (there.get(t),) * 2)]
    for test in wrong:
        print(f"FAIL  {test}: {there.get(test)} on the directory, {here.get(test)} through the view")
        print(*re.findall(rf"^{re.escape(test)} .*\n(?:\t.*\n)*", said, re.M))
    if not here:
        print(said_there, said)
    for line in panics:
        print("in the server's log:", line)
    print(f"{len(here) - len(wrong)} passed, {len(wrong) + len(panics)} failed")
    sys.exit(bool(wrong or panics or not here))


if __name__ == "__main__":
    main()
