#!/usr/bin/env python3
"""Logons by ticket: a KDC of our own, smbclient in every dialect, smbtorture by its list, the kernel's client, and tickets that
are no good.

    tests/clients/kerberos.py [--only GLOB]

Raw tokens are MIT's own, put into SESSION_SETUP by hand.
"""

import argparse
import concurrent.futures
import fnmatch
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
COMMON = os.path.join(HERE, "..", "common")
CONFORMANCE = os.path.join(HERE, "..", "conformance")
sys.path[:0] = [HERE, COMMON]
import gss
from cases import Cases
from rawsmb import Raw
from realm import Realm
from servers import SHARED, TOP, USERS, Smbgate
from smbclient import DIALECTS, FILES, Client, check, session

HOST = "nas.smbgate.test"
SERVICE = f"cifs/{HOST}"
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)
KERNEL = ["vers=2.1,sec=krb5i", "vers=3.0,sec=krb5,seal", "vers=3.1.1,sec=krb5", "vers=3.1.1,sec=krb5,seal"]
FIRST, SECOND = (name for name, _ in USERS)
# These two skip themselves where tickets are required; they pass by password, on the server that takes tickets too.
BY_PASSWORD = ["smb2.session.reauth6", "smb2.session.bind_different_user"]


class Server(Smbgate):
    """A server of the realm, for which clocks may be so many seconds apart."""

    def __init__(self, realm, shares, keytab=None, skew=300, **settings):
        self.realm, self.keytab, self.skew = realm, keytab or realm.path("keytab"), skew
        kerberos = {"keytab": self.keytab, **settings.pop("kerberos", {})}
        super().__init__(shares, kerberos=kerberos, **settings)

    def environment(self):
        return {**super().environment(), "KRB5_CONFIG": self.realm.config(f"server-{self.skew}.conf", clockskew=self.skew)}

    def logged(self, text):
        until(lambda: text in self.tail(1000), f"the log has no {text!r}:\n{self.tail(3)}", 2)


class Ticketed(Client):
    """smbclient with a cache of tickets, or with a password as well."""

    host = HOST

    def __init__(self, server, work, options=(), cache=None, kerberos="required"):
        self.cache, self.kerberos = cache or server.cache, kerberos
        super().__init__(server, work, options)

    def credentials(self):
        return [f"--use-kerberos={self.kerberos}", *(super().credentials() if self.kerberos != "required" else [])]

    def environment(self):
        return self.server.realm.environment(KRB5CCNAME=self.cache)


def until(condition, otherwise, limit=10):
    end = time.monotonic() + limit
    while not condition():
        check(time.monotonic() < end, otherwise)
        time.sleep(0.05)


def token(realm, cache, host=HOST, clock=None, service="cifs"):
    """An AP-REQ as the client would send it, by a clock that is off by as much."""
    more = {"LD_PRELOAD": FAKETIME, "FAKETIME": clock} if clock else {}
    out = realm.call(sys.executable, os.path.join(COMMON, "gss.py"), cache, f"{service}@{host}", **more)
    return bytes.fromhex(out)


def setup(server, token):
    with Raw(server.port) as raw:
        return raw.setup(token)


def wrapped(token, mechs=(gss.KRB5,)):
    return gss.spnego(mechs, token)


def refused(server, token, status, *lines):
    """The client gets this status, the log these lines."""
    got, _ = setup(server, wrapped(token))
    check(got == status, f"expected {status}, got {got}")
    for line in lines:
        server.logged(line)


# --- what a good ticket comes to ------------------------------------------------------------------------------

def frames(server, realm, work):
    """Bare, in SPNEGO by both names of Kerberos, behind a mechanism that nobody knows, and with NTLM offered beside it."""
    cache = server.cache
    with Raw(server.port) as raw:
        for oid in (gss.MS_KRB5, gss.KRB5, gss.NTLM):
            check(gss.tlv(6, oid) in raw.hint, f"the server's hint has no {oid.hex()}")
    for made in (lambda t: t, wrapped, lambda t: wrapped(t, [gss.MS_KRB5, gss.KRB5]),
                 lambda t: wrapped(t, [gss.MS_KRB5, gss.KRB5, gss.NTLM])):
        status, answer = setup(server, made(token(realm, cache)))
        check(status == "SUCCESS" and answer, f"{status}, {len(answer)} bytes")
    unknown = bytes.fromhex("2b060104018237021e0a")
    status, answer = setup(server, wrapped(token(realm, cache), [unknown, gss.KRB5]))
    check(status == "MORE_PROCESSING_REQUIRED" and gss.tlv(6, gss.KRB5) in answer, f"{status}")


def status(server, realm, work):
    """Who is here by a ticket, and how long it holds."""
    with Raw(server.port) as raw:
        check(raw.setup(wrapped(token(realm, server.cache)))[0] == "SUCCESS", "refused")
        told = json.loads(subprocess.run([server.binary, "status", "--json", "--config", server.config], check=True,
                                         capture_output=True, text=True).stdout)
        mine = [s for s in told["sessions"] if s["principal"] == f"{FIRST}@{realm.name}"]
        check(mine and 0 < mine[0]["ticket_seconds"] <= 36000, told["sessions"])


def identity(server, realm, work):
    """By name, by map, and not at all. What is made belongs to the local user."""
    def made(cache, name):
        Ticketed(server, work, cache=cache).run("share", [f"put {HERE}/kerberos.py {name}"])
        return os.stat(os.path.join(server.path("share"), name))
    if os.geteuid() == 0:
        import pwd
        check(made(server.cache, "own").st_uid == pwd.getpwnam(FIRST).pw_uid, "not the user's")
        check(made(realm.tickets("robert", realm.path("cc-map")), "mapped").st_uid == pwd.getpwnam(SECOND).pw_uid, "not by the map")
    for user in ("stranger", "root"):
        cache = realm.tickets(user, realm.path(f"cc-{user}"), SERVICE)
        refused(server, token(realm, cache), "NO_SUCH_USER", f"principal {user}@{realm.name}")


def fall_back(server, realm, work):
    """A ticket that is no good, and a password: NTLM is asked for, and the log says why."""
    # The ticket is for a key that the server never had.
    realm.service("cifs/old.smbgate.test")
    cache = realm.tickets(FIRST, realm.path("cc-old"), "cifs/old.smbgate.test")
    bad = token(realm, cache, host="old.smbgate.test")
    status, answer = setup(server, wrapped(bad, [gss.KRB5, gss.NTLM]))
    check(status == "MORE_PROCESSING_REQUIRED" and gss.tlv(6, gss.NTLM) in answer, f"{status}")
    server.logged("the client may use NTLM: ")
    refused(server, bad, "LOGON_FAILURE", "has no key for the service")


def no_ntlm(realm, work):
    with Server(realm, {"share": {}}, ntlm=False) as server:
        server.cache = realm.tickets(FIRST, realm.path("cc-only"))
        Ticketed(server, work).run("share", ["ls"])
        Client(server, work).run("share", ["ls"], fails="NT_STATUS_NTLM_BLOCKED")
        server.logged("ntlm = false")


# --- tickets that are no good ---------------------------------------------------------------------------------

def clocks(server, realm, work):
    cache = realm.tickets(FIRST, realm.path("cc-clock"), SERVICE)
    for clock in ("-4m", "+4m"):
        refused(server, token(realm, cache, clock=clock), "TIME_DIFFERENCE_AT_DC", "set both by NTP")


def expired(server, realm, work):
    """Sent by a client whose clock is behind: it believes in a ticket that is over."""
    cache = realm.tickets(FIRST, realm.path("cc-short"), SERVICE, life="2s")
    made = token(realm, cache)
    check(setup(server, wrapped(made))[0] == "SUCCESS", "a ticket of 2 s is no good at once")
    start = time.monotonic()
    behind = lambda: f"-{int(time.monotonic() - start) + 1}s"
    # So many seconds after its end that the server's clock skew is over as well.
    until(lambda: setup(server, wrapped(token(realm, cache, clock=behind())))[0] == "LOGON_FAILURE", "it never ends", 30)
    server.logged("the ticket has expired")


def replayed(server, realm, work):
    made = token(realm, server.cache)
    check(setup(server, wrapped(made))[0] == "SUCCESS", "the first is refused")
    refused(server, made, "LOGON_FAILURE", "was here before")
    server.stop()
    server.start()
    refused(server, made, "LOGON_FAILURE", "was here before")


def rolled(realm, work):
    """The key changes at the KDC, then in the keytab, while clients keep their tickets."""
    service = "cifs/rolls.smbgate.test"
    realm.service(service)
    keytab = realm.keytab(realm.path("keytab-rolls"), service)
    with Server(realm, {"share": {}}, keytab=keytab) as server:
        old = realm.tickets(FIRST, realm.path("cc-before"), service)
        send = lambda cache: token(realm, cache, host="rolls.smbgate.test")
        check(setup(server, wrapped(send(old)))[0] == "SUCCESS", "before")
        new_keytab = realm.keytab(realm.path("keytab-new"), service)
        new = realm.tickets(FIRST, realm.path("cc-after"), service)
        refused(server, send(new), "LOGON_FAILURE", "another version of the key", "kinit")
        # smbclient, which gets the new ticket and has a password as well, is let in by that.
        out = subprocess.run(["smbclient", "//rolls.smbgate.test/share", "-s", "/dev/null", "-p", str(server.port), "-U",
                              "%".join(USERS[0]), f"--realm={realm.name}", "--use-kerberos=desired", "-c", "ls"],
                             capture_output=True, text=True, timeout=60, env=realm.environment(KRB5CCNAME=new))
        check(out.returncode == 0, out.stdout + out.stderr)
        server.logged("the client may use NTLM: ")
        # The new key beside the old one, without a restart.
        with open(new_keytab, "rb") as f:
            added = f.read()[2:]
        with open(keytab, "ab") as f:
            f.write(added)
        check(setup(server, wrapped(send(new)))[0] == "SUCCESS", "the new key is not taken")
        check(setup(server, wrapped(send(old)))[0] == "SUCCESS", "the old key is forgotten")
        os.replace(new_keytab, keytab)
        refused(server, send(old), "LOGON_FAILURE", "another version of the key")
        os.unlink(keytab)
        refused(server, send(new), "LOGON_FAILURE", keytab)


def other_service(realm, work):
    """Keys of other services may be in the keytab; their tickets are not ours."""
    realm.service(f"http/{HOST}")
    keytab = realm.keytab(realm.path("keytab-both"), f"http/{HOST}")
    realm.keytab(keytab, SERVICE, fresh=False)
    with Server(realm, {"share": {}}, keytab=keytab) as server:
        cache = realm.tickets(FIRST, realm.path("cc-http"), f"http/{HOST}")
        refused(server, token(realm, cache, service="http"), "LOGON_FAILURE", "not for cifs/HOST")
        check(setup(server, wrapped(token(realm, realm.tickets(FIRST, realm.path("cc-cifs"), SERVICE))))[0] == "SUCCESS", "cifs")


def nonsense(server, realm, work):
    """Cut and flipped: refused, and the server goes on."""
    good = token(realm, server.cache)
    for at in range(0, len(good), len(good) // 8):
        status, _ = setup(server, wrapped(good[:at]))
        check(status not in ("SUCCESS", "MORE_PROCESSING_REQUIRED"), f"cut at {at}: {status}")
        flipped = bytearray(good)
        flipped[at] ^= 4
        status, _ = setup(server, wrapped(bytes(flipped)))
        check(status not in ("SUCCESS", "MORE_PROCESSING_REQUIRED"), f"flipped at {at}: {status}")
        # So that failures do not add up until nobody is heard.
        for _ in range(2):
            check(setup(server, wrapped(token(realm, server.cache)))[0] == "SUCCESS", "one that is whole")
    check(setup(server, wrapped(good))[0] == "SUCCESS", "the whole of it")


# --- the machine ----------------------------------------------------------------------------------------------

def told(server, realm, work):
    """`check` and `--version` say what there is; without the library, what to install."""
    run = lambda *args: subprocess.run(args, capture_output=True, text=True, env={**os.environ, **server.environment()})
    server_check = run(server.binary, "check", "--config", server.config)
    check(f"tickets are taken for {SERVICE}@{realm.name} (key version" in server_check.stdout, server_check.stdout)
    version = run(server.binary, "--version").stdout
    check("Kerberos: MIT" in version, version)
    if os.geteuid() != 0:
        return
    hide = "for f in $(ls /usr/lib/*/libgssapi_krb5.so.2); do mount --bind /dev/null $(realpath $f); done; exec \"$@\""
    without = lambda *args: run("unshare", "-m", "sh", "-c", hide, "sh", *args)
    version = without(server.binary, "--version").stdout
    check("Kerberos: none" in version and "libgssapi-krb5-2" in version, version)
    server.stop()
    answer = without(server.binary, "check", "--config", server.config)
    check(answer.returncode == 1 and "libgssapi-krb5-2" in answer.stdout, answer.stdout)
    server.start()


def resident(server):
    with open(f"/proc/{server.process.pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def many(server, realm, work):
    """1,000 logons, 16 at a time, and once more: neither memory nor descriptors grow from the first to the second time."""
    descriptors = lambda: len(os.listdir(f"/proc/{server.process.pid}/fd"))
    os.environ.update(KRB5_CONFIG=realm.path("krb5.conf"))
    tokens = [gss.first_token(server.cache, f"cifs@{HOST}") for _ in range(4000)]
    before, figures = descriptors(), []
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for round in range(4):
            start = time.monotonic()
            for status, _ in pool.map(lambda t: setup(server, wrapped(t)), tokens[round * 1000:round * 1000 + 1000]):
                check(status == "SUCCESS", status)
            seconds = time.monotonic() - start
            until(lambda: descriptors() <= before, "descriptors stay open")
            figures.append((resident(server), descriptors(), seconds))
    print("      KiB, descriptors, seconds after each thousand:", *(f"{k} {d} {s:.1f}" for k, d, s in figures))
    check(figures[3][0] < figures[1][0] * 1.02 + 512, f"memory grows: {figures}")


def torture(realm, work):
    """smbtorture by its list (../shared/conformance/expected/kerberos.txt)."""
    with open(os.path.join(CONFORMANCE, "kerberos.txt")) as f:
        tests = [line.split("#")[0].strip() for line in f if line.split("#")[0].strip()]
    logs = os.path.join(os.environ.get("CARGO_TARGET_DIR") or os.path.join(TOP, "target"), "test-logs", "torture-kerberos")
    os.makedirs(logs, exist_ok=True)
    results, (user, pw), (user2, pw2) = os.path.join(logs, "results.tsv"), *USERS
    shares = [f"share{n}" for n in range(6)]
    with Server(realm, {**{name: {} for name in shares}, "guests": {"guest": "ro"}}, signing="offered") as server:
        def run(names, *more):
            subprocess.run(
                [os.path.join(SHARED, "conformance", "torture"), "run", "--server", HOST, "--port", str(server.port),
                 "--share", ",".join(shares), "--jobs", str(len(shares)), "--user", user, "--pw", pw, "--user2", user2,
                 "--pw2", pw2, "--retry", "1", "--logs", logs, "--out", results, *more, *(f"--tests={name}" for name in names)],
                env=realm.environment(KRB5CCNAME=f"FILE:{work}/none"), stdout=subprocess.DEVNULL)
        if os.path.exists(results):
            os.unlink(results)
        run([t for t in tests if t not in BY_PASSWORD], f"--args=--use-kerberos=required --realm={realm.name}")
        by_ticket = server.tail(100000).count(f"Kerberos: {user}@{realm.name}")
        run(BY_PASSWORD, "--resume", "--args=--use-kerberos=off")
        check(not server.panics(), server.panics())
    with open(results) as f:
        rows = [line.split("\t") for line in f if line.startswith("smb2.")]
    missed = [row[0] + ": " + row[-1].strip() for row in rows if row[1] != "pass"]
    missed += [test for test in tests if test not in [row[0] for row in rows]]
    check(not missed, "; ".join(missed))
    check(by_ticket > len(tests), f"{by_ticket} logons by ticket")
    print(f"      {len(rows)} tests, {by_ticket} logons by ticket")


def dialects(realm, work):
    """smbtorture in every dialect, signed and sealed. (Sealed, two of them seal a request of a session that is gone, and expect
    an answer.)"""
    with Server(realm, {"share": {}}, signing="required") as server:
        for dialect in DIALECTS:
            for protection in ("sign", "encrypt") if dialect >= "SMB3" else ("sign",):
                tests = ["session.reauth1", "read.eof", "create.open"] + ["connect", "tcon"] * (protection == "sign")
                out = subprocess.run(
                    ["smbtorture", f"//{HOST}/share", "-s", "/dev/null", "-p", str(server.port), "-U", "%".join(USERS[0]),
                     "--use-kerberos=required", f"--realm={realm.name}", f"--option=client max protocol={dialect}",
                     f"--option=client min protocol={dialect}", f"--client-protection={protection}",
                     *(f"smb2.{test}" for test in tests)],
                    env=realm.environment(KRB5CCNAME=f"FILE:{work}/none"), capture_output=True, text=True, timeout=120)
                count = out.stdout.count("\nsuccess: ")
                check(out.returncode == 0 and count == len(tests), f"{dialect} {protection}: {count} of {tests}\n{out.stdout[-600:]}{out.stderr[-600:]}")
        check(f"{server.realm.name})" in server.tail() and "refused" not in server.tail(1000), server.tail())


def kernel_client(realm, work):
    """The Linux kernel's client, whose key ring asks for the ticket (cifs.upcall)."""
    shared = tempfile.mkdtemp(dir=work)
    realm.tickets(FIRST, os.path.join(shared, "cache"), SERVICE)
    shutil.copy(realm.path("krb5.conf"), shared)
    # Run here when the guest asks for it: a ticket of 8 s from then on.
    hook = os.path.join(shared, "hook")
    with open(hook, "w") as f:
        f.write(f"#!/bin/sh\nexport KRB5_CONFIG={realm.path('krb5.conf')} KRB5CCNAME=FILE:{shared}/short\n"
                f"echo '{realm.users[FIRST]}' | kinit -l 8s {FIRST} && kvno {SERVICE}\n")
    os.chmod(hook, 0o755)
    with Server(realm, {"share": {}}, signing="required") as server:
        vm = subprocess.run(
            [os.path.join(SHARED, "cifs-vm", "cifs-vm"), "run", "--backend", "uml" if os.geteuid() == 0 else "qemu", "--port",
             str(server.port), "--share", "share", "--user", FIRST, "--pass", "none", "--no-mount", "--timeout", "600", "--dir",
             shared, "--hook", hook, "--", os.path.join(HERE, "ticket.sh"), HOST, "renewed", KERNEL[-1], *KERNEL],
            capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
        lines = [line for line in vm.stdout.splitlines() if line.startswith("CASE ")]
        check(vm.returncode == 0 and len(lines) == 1 + len(KERNEL), f"{lines} {vm.stderr[-600:]}")
        logons = server.tail(1000).count(f"Kerberos: {FIRST}@")
        # One of them once more when its ticket had ended.
        check(logons >= 2 + len(KERNEL), f"{logons} logons by ticket")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--only", default="*")
    only = options.parse_args().only
    cases = Cases()
    run = lambda name, *args: fnmatch.fnmatch(name, only) and cases.run(name, *args)
    users = {**dict(USERS), "stranger": "pw 1", "robert": "pw 2", "root": "pw 3"}
    hosts = [HOST, "old.smbgate.test", "rolls.smbgate.test"]
    shares = {"share": {}, "sealed": {"encryption": "required"}}
    mapped = {"map": {"robert@SMBGATE.TEST": SECOND}}
    with tempfile.TemporaryDirectory(prefix="smbgate-kerberos-", dir="/var/tmp") as work, \
            Realm("SMBGATE.TEST", users, hosts, clockskew=300) as realm:
        os.chmod(work, 0o755)
        realm.service(SERVICE)
        realm.keytab(realm.path("keytab"), SERVICE)
        tree = os.path.join(work, "tree")
        for name, size in FILES.items():
            os.makedirs(os.path.dirname(os.path.join(tree, name)), exist_ok=True)
            with open(os.path.join(tree, name), "wb") as f:
                f.write(os.urandom(size))
        waits = concurrent.futures.ThreadPoolExecutor(1)
        # It sleeps until tickets have run out; the rest goes on meanwhile.
        tortured = waits.submit(run, "smbtorture", torture, realm, work)
        with Server(realm, shares, signing="required", kerberos=mapped) as server, \
                Server(realm, shares, skew=5) as strict, \
                Server(realm, shares, signing="required", ciphers=["aes-256-gcm"]) as wide, \
                Server(realm, shares, signing="required", ciphers=["aes-256-ccm"]) as wide_ccm:
            for one in (server, wide, wide_ccm):
                one.cache = realm.tickets(FIRST, realm.path("cc"), SERVICE)

            def case(mode, dialect, server, share, *options):
                own = tempfile.mkdtemp(prefix="case-", dir=work)
                options = ["-m", dialect, f"--option=client min protocol={dialect}", *options]
                run(f"smbclient {dialect} {mode}", session, server, share, options, tree, own, Ticketed)

            for dialect in DIALECTS:
                case("signed", dialect, server, "share")
                if dialect >= "SMB3":
                    case("sealed", dialect, server, "sealed")
            case("sealed with AES-256-GCM", "SMB3_11", wide, "sealed")
            case("sealed with AES-256-CCM", "SMB3_11", wide_ccm, "sealed")
            for function in (frames, status, identity, fall_back, replayed, nonsense, told, many):
                run(function.__name__.replace("_", " "), function, server, realm, work)
            # So that a test need not wait for 5 minutes.
            for function in (clocks, expired):
                run(function.__name__, function, strict, realm, work)
            for function in (no_ntlm, rolled, other_service, dialects, kernel_client):
                run(function.__name__.replace("_", " "), function, realm, work)
            tortured.result()
            panics = server.panics() + strict.panics() + wide.panics() + wide_ccm.panics()
            run("the server's log has no panic", lambda: check(not panics, panics))
    cases.close()


if __name__ == "__main__":
    main()
