#!/usr/bin/env python3
"""A member of a domain: Debian's Samba as an Active Directory controller, in a network of its own. Its tickets carry PACs,
and what the PAC says of groups decides on security descriptors.

    tests/clients/domain.py        (root; namespaces for network and mounts, so that the controller has its own ports and names)
"""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "common")]
from cases import Cases
from servers import USERS, Smbgate
from smbclient import Client, check

REALM, HOST = "AD.TEST", "nas.ad.test"
PASSWORD = "Of no use 1 elsewhere"
NEWNS, NEWNET = 0x20000, 0x40000000


def alone(top):
    """From here on this process and its children have a loopback and names of their own. smbcacls knows no port but 445."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEWNS | NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    quiet("mount", "--make-rprivate", "/")
    quiet("ip", "link", "set", "lo", "up")
    for name, text in (("hosts", f"127.0.0.1 localhost\n127.0.0.1 dc.ad.test dc\n127.0.0.1 {HOST}\n"),
                       ("resolv.conf", "nameserver 127.0.0.1\n")):
        with open(os.path.join(top, name), "w") as f:
            f.write(text)
        quiet("mount", "--bind", f.name, os.path.realpath(f"/etc/{name}"))


def quiet(*command, **more):
    p = subprocess.run(command, capture_output=True, text=True, timeout=120, **more)
    if p.returncode:
        raise RuntimeError(f"{' '.join(command)}: {p.stdout[-2000:]}{p.stderr[-2000:]}")
    return p.stdout


class Domain:
    def __init__(self, top):
        self.top, self.process = top, None
        self.conf = os.path.join(top, "dc", "etc", "smb.conf")
        self.krb5 = os.path.join(top, "krb5.conf")

    def tool(self, *args):
        return quiet("samba-tool", *args, "-s", self.conf)

    def __enter__(self):
        try:
            self.prepare()
        except BaseException:
            self.__exit__()
            raise
        return self

    def prepare(self):
        quiet("samba-tool", "domain", "provision", f"--realm={REALM}", "--domain=ADT", "--server-role=dc", "--dns-backend=NONE",
              f"--adminpass={PASSWORD}", f"--targetdir={self.top}/dc", "--host-name=dc", "--host-ip=127.0.0.1")
        with open(self.krb5, "w") as f:
            f.write(f"[libdefaults]\n    default_realm = {REALM}\n    dns_lookup_kdc = false\n    dns_lookup_realm = false\n"
                    f"    rdns = false\n    dns_canonicalize_hostname = false\n"
                    f"[realms]\n    {REALM} = {{\n        kdc = 127.0.0.1\n    }}\n[domain_realm]\n    .ad.test = {REALM}\n")
        with open(os.path.join(self.top, "samba.log"), "wb") as log:
            # Its children are a process group, and end with it.
            self.process = subprocess.Popen(["samba", "-s", self.conf, "--foreground", "--no-process-group",
                                             "--option=server services=kdc,ldap", "--option=interfaces=127.0.0.1"],
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        self.tool("user", "create", "nas-service", PASSWORD)
        self.tool("spn", "add", f"cifs/{HOST}", "nas-service")
        for user, group in (("alice", "Editors"), ("bob", "Readers")):
            self.tool("user", "create", user, PASSWORD)
            self.tool("group", "add", group)
            self.tool("group", "addmembers", group, user)
        self.keytab = os.path.join(self.top, "keytab")
        self.tool("domain", "exportkeytab", self.keytab, f"--principal=cifs/{HOST}")

    def __exit__(self, *_):
        if self.process:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(20)

    def sid(self, group):
        return re.search(r"^objectSid: (S-[-0-9]+)", self.tool("group", "show", group), re.M)[1]

    def tickets(self, user):
        cache, deadline = f"FILE:{self.top}/cc-{user}", time.monotonic() + 60
        while True:
            try:
                quiet("kinit", "-c", cache, user, input=PASSWORD + "\n", env={**os.environ, "KRB5_CONFIG": self.krb5})
                return cache
            except RuntimeError:
                # The controller takes its time to start.
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.2)


class Member(Smbgate):
    def environment(self):
        return {**super().environment(), "KRB5_CONFIG": self.domain.krb5}


class Ticketed(Client):
    host = HOST

    def __init__(self, server, work, cache):
        self.cache = cache
        super().__init__(server, work)

    def credentials(self):
        return ["--use-kerberos=required"]

    def environment(self):
        return {**os.environ, "KRB5CCNAME": self.cache, "KRB5_CONFIG": self.server.domain.krb5}


def protect(server, work, name, ace):
    """The owner of a file leaves it to one account alone."""
    path = os.path.join(server.path("share"), name)
    Client(server, work).run("share", [f"put {HERE}/domain.py {name}"])
    os.chmod(path, 0o666)
    cacls = lambda *args: quiet("smbcacls", "//127.0.0.1/share", name, "-s", "/dev/null", "-A", os.path.join(work, "auth"),
                                "--numeric", *args)
    cacls("-S", f"ACL:{ace}")
    check(ace.split(":")[0] in cacls(), cacls())


def groups(server, domain, work):
    """All act as the share's owner; the groups of their domain make the difference."""
    alice, bob = (Ticketed(server, work, domain.tickets(user)) for user in ("alice", "bob"))
    protect(server, work, "editors", f"{domain.sid('Editors')}:0/0/0x001f01ff")
    protect(server, work, "everybody", f"{domain.sid('Domain Users')}:0/0/0x001200a9")
    alice.run("share", ["get editors /dev/null", "get everybody /dev/null"])
    bob.run("share", ["get everybody /dev/null"])
    bob.run("share", ["get editors /dev/null"], fails="NT_STATUS_ACCESS_DENIED")
    alice.run("share", [f"put {HERE}/domain.py editors"])
    bob.run("share", [f"put {HERE}/domain.py everybody"], fails="NT_STATUS_ACCESS_DENIED")


def without_a_pac(server, domain, work):
    """The same account by password is in no group of the domain."""
    mapped = Client(server, work)
    mapped.login(*USERS[1])
    mapped.run("share", ["get everybody /dev/null"], fails="NT_STATUS_ACCESS_DENIED")


def strangers(server, domain, work):
    """Who is in the domain and has no user here."""
    stranger = Ticketed(server, work, domain.tickets("Administrator"))
    stranger.run("share", ["ls"], fails="NT_STATUS_NO_SUCH_USER")


def main():
    if os.geteuid() != 0:
        print("only root can give a controller a network of its own\n1 passed, 0 failed")
        return
    cases = Cases()
    top = tempfile.mkdtemp(prefix="smbgate-domain-", dir="/var/tmp")
    os.chmod(top, 0o755)
    try:
        alone(top)
        with Domain(top) as domain:
            Member.domain = domain
            names = {f"{user}@{REALM}": USERS[1][0] for user in ("alice", "bob")}
            domain.tickets("alice")
            with Member({"share": {"owner": USERS[0][0]}}, port=445, kerberos={"keytab": domain.keytab, "map": names}) as server:
                for case in (groups, without_a_pac, strangers):
                    cases.run(case.__name__.replace("_", " "), case, server, domain, top)
                cases.run("the server's log has no panic", lambda: check(not server.panics(), server.panics()))
    finally:
        shutil.rmtree(top, ignore_errors=True)
    cases.close()


if __name__ == "__main__":
    main()
