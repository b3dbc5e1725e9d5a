#!/usr/bin/env python3
"""The Linux kernel's client (cifs.ko, in a virtual machine) against the server.

    tests/clients/kernel.py [--server smbgate|smbd] [--backend uml|qemu]

One machine is booted; guest.sh mounts in it with every set of options below, one after the other.
"""

import argparse
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "common"))
from servers import KINDS, SHARED

MOUNTS = ["vers=2.1", "vers=3.0", "vers=3.0,seal", "vers=3.1.1", "vers=3.1.1,seal"]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--server", choices=KINDS, default="smbgate")
    # User Mode Linux starts in seconds and needs no KVM, but root for its network.
    options.add_argument("--backend", choices=["uml", "qemu"], default="uml" if os.geteuid() == 0 else "qemu")
    options.add_argument("mounts", nargs="*", default=MOUNTS, metavar="MOUNT-OPTIONS")
    o = options.parse_args()
    with KINDS[o.server]({"share": {}}, signing="required") as server:
        vm = subprocess.run(
            [os.path.join(SHARED, "cifs-vm", "cifs-vm"), "run", "--backend", o.backend, "--port", str(server.port),
             "--share", "share", "--user", server.user, "--pass", server.password, "--no-mount", "--timeout", "900",
             "--", os.path.join(HERE, "guest.sh"), *o.mounts],
            stdout=subprocess.PIPE, text=True, errors="replace", stdin=subprocess.DEVNULL)
        lines = [line[5:] for line in vm.stdout.splitlines() if line.startswith("CASE ")]
        print("\n".join(lines))
        passed = sum(line.startswith("ok") for line in lines)
        problems = server.panics() + ([f"the machine ended with {vm.returncode}"] if vm.returncode > 1 else [])
        left = os.listdir(server.path("share"))
        if left:
            problems.append(f"left on the server's disk: {left[:5]}")
        if passed < len(o.mounts) or problems:
            print("\n".join(problems), vm.stdout[-3000:], server.tail(), sep="\n")
        # A case that the machine never came to counts as failed.
        print(f"{passed} passed, {len(o.mounts) - passed + len(problems)} failed")
        sys.exit(passed < len(o.mounts) or bool(problems))


main()
