#!/usr/bin/env python3
"""Debian's rpcclient against the server's pipes: names and SIDs (lsarpc), accounts (samr), shares (srvsvc, wkssvc); and
smbcacls with names instead of SIDs, as the Security tab shows and takes them.

    tests/clients/rpc.py [--server smbgate|smbd]

smbd is asked what both answer alike.
"""

import argparse
import grp
import os
import pwd
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "common")]
from cases import Cases
from servers import KINDS, USERS
from smbcacls import Acls, entry
from smbclient import Client, check

ROOT = os.geteuid() == 0
ROOTS_GROUP = grp.getgrgid(0).gr_name


class Rpc:
    """rpcclient, logged on as a user."""

    def __init__(self, server, user=None):
        self.server, self.user = server, user or (server.user, server.password)

    def call(self, *commands):
        name, password = self.user
        user = ["-U", f"{name}%{password}"] if name else ["-U", "%"]
        p = subprocess.run(["rpcclient", "127.0.0.1", "-p", str(self.server.port), "-s", "/dev/null", *user,
                            "-c", ";".join(commands)], capture_output=True, text=True, timeout=60,
                           env={**os.environ, "LC_ALL": "C.UTF-8"})
        return p.stdout + p.stderr

    def run(self, *commands):
        out = self.call(*commands)
        check("NT_STATUS" not in out and "WERR" not in out and "INTERNAL" not in out, f"{commands}: {out}")
        return out

    def has(self, command, *wanted):
        """Runs it; every regular expression is found in what it prints."""
        out = self.run(command)
        for regex in wanted:
            check(re.search(regex, out, re.MULTILINE), f"{command}: no {regex!r} in\n{out}")
        return out

    def refused(self, command, status):
        out = self.call(command)
        check(status in out, f"{command}: no {status} in\n{out}")


def uid(user):
    return pwd.getpwnam(user[0]).pw_uid


# --- what both servers answer --------------------------------------------------------------------------------

def names_to_sids(rpc):
    rpc.has("lookupnames root Everyone nobody-here", r"^root S-1-22-1-0 \(User: 1\)$",
            r"^Everyone S-1-1-0 \(Well-known Group: 5\)$", r"^nobody-here .*\(UNKNOWN: 8\)$")
    rpc.refused("lookupnames nobody-here", "NT_STATUS_NONE_MAPPED")
    rpc.has("lookupnames_level 1 root", r"^root S-1-22-1-0 \(User: 1\)$")


def sids_to_names(rpc):
    rpc.has("lookupsids S-1-22-1-0 S-1-22-2-0 S-1-1-0 S-1-5-18 S-1-5-32-544 S-1-3-0 S-1-9-9",
            r"^S-1-22-1-0 .*\\root \(1\)$", rf"^S-1-22-2-0 Unix Group\\{ROOTS_GROUP} \([24]\)$",
            r"^S-1-1-0 \\Everyone \(5\)$", r"(?i)^S-1-5-18 NT Authority\\SYSTEM \(5\)$",
            r"^S-1-5-32-544 BUILTIN\\Administrators \(4\)$", r"(?i)^S-1-3-0 \\CREATOR OWNER \(5\)$",
            r"^S-1-9-9 \*unknown\*\\\*unknown\* \(8\)$")


def policy(rpc):
    rpc.has("lsaquery", r"^Domain Name: WORKGROUP$", r"^Domain Sid: \(NULL SID\)$")
    rpc.has("lsaquery 5", r"^Domain Name: \S+$", r"^Domain Sid: S-1-")
    rpc.has("dsroledominfo", r"^Machine Role = \[2\]$")
    rpc.has("getusername", rf"^Account Name: {rpc.user[0]}, Authority Name: ")


def rights(rpc):
    rpc.has("enumprivs", r"^SeTakeOwnershipPrivilege\s+0:9 ", r"^SeBackupPrivilege\s+0:17 ")
    rpc.has("lsaenumsid", r"^S-1-5-32-544$")
    rpc.has("lsaenumacctrights S-1-5-32-544", r"^\s+SeTakeOwnershipPrivilege$", r"^\s+SeRestorePrivilege$")
    rpc.has("getdispname SeBackupPrivilege", "Back up files and directories")
    rpc.refused("lsaenumacctrights S-1-9-9", "NT_STATUS_OBJECT_NAME_NOT_FOUND")


def changes_are_refused(rpc):
    rpc.refused("createdomuser somebody", "NT_STATUS_ACCESS_DENIED")
    rpc.refused("lsaaddacctrights S-1-1-0 SeBackupPrivilege", "NT_STATUS_ACCESS_DENIED")
    rpc.refused("netsessenum", "WERR_ACCESS_DENIED")
    rpc.refused("netfileenum", "WERR_ACCESS_DENIED")


def accounts(rpc):
    rpc.has("enumdomains", r"^name:\[\S+\] idx:", r"(?i)^name:\[builtin\] idx:")
    listed = rpc.has("enumdomusers", *(rf"^user:\[{name}\] rid:\[0x[0-9a-f]+\]$" for name, _ in USERS))
    rid = re.search(rf"{USERS[0][0]}\] rid:\[(0x\w+)\]", listed)[1]
    rpc.has(f"queryuser {rid}", rf"User Name   :\s+{USERS[0][0]}$", rf"user_rid :\s+{rid}$", r"group_rid:\s+0x201$")
    rpc.has(f"queryuser {USERS[1][0]}", rf"User Name   :\s+{USERS[1][0]}$")
    rpc.has(f"queryusergroups {rid}", r"group rid:\[0x201\] attr:\[0x7\]")
    rpc.has(f"samlookupnames domain {USERS[0][0]}", rf"^name {USERS[0][0]}: {rid} \(1\)$")
    rpc.has(f"samlookuprids domain {rid}", rf"^rid {rid}: {USERS[0][0]} \(1\)$")
    rpc.refused("samlookupnames domain nobody-here", "NT_STATUS_NONE_MAPPED")
    rpc.has("lookupdomain BUILTIN", "Domain SID: S-1-5-32$")
    rpc.has("querydominfo", r"^Total Users:\s+2$")
    for display in ("querydispinfo", "querydispinfo2", "querydispinfo3"):
        rpc.has(display, *(rf"RID: 0x\w+ .* Account: {name}" for name, _ in USERS))
    rpc.has("getdompwinfo", "min_password_length: ")
    rpc.refused("queryuser 0xfffffff0", "NT_STATUS_NO_SUCH_USER")


def shares(rpc):
    for level in (1, 2, 502):
        rpc.has(f"netshareenumall {level}", r"^netname: share$", r"^netname: other$", r"^netname: IPC\$$",
                r"remark:\s+what it is$")
    out = rpc.has("netshareenum", r"^netname: share$", r"^netname: other$")
    check("IPC$" not in out, out)
    rpc.has("netsharegetinfo share", r"^netname: share$", r"type:\s+0x0$")
    rpc.refused("netsharegetinfo nowhere", "result was WERR_")
    rpc.has("srvinfo", r"platform_id\s+:\s+500")
    rpc.run("netremotetod", "netnamevalidate share 9", "wkssvc_wkstagetinfo")


# --- what smbgate answers ------------------------------------------------------------------------------------

def one_picture(rpc):
    """Users have the SID that their files have; lsarpc and samr agree."""
    name, me = USERS[0][0], uid(USERS[0])
    rpc.has("lsaquery 5", r"^Domain Name: SMBGATE-TEST$", r"^Domain Sid: S-1-22-1$")
    spellings = [name, name.upper(), rf"smbgate-test\\{name}"]
    for spelled in spellings:
        rpc.has(f"lookupnames {spelled}", rf"S-1-22-1-{me} \(User: 1\)$")
    rpc.has(f"lookupsids S-1-22-1-{me}", rf"SMBGATE-TEST\\{name} \(1\)$")
    rpc.has(f"lookupnames4 {name}", rf"S-1-22-1-{me} \(User: 1\)$")
    rpc.has(f"lookupsids3 S-1-22-1-{me}", rf"{name} \(1\)$")
    rpc.has("enumdomusers", rf"^user:\[{name}\] rid:\[{me:#x}\]$")
    rpc.has("getusername", "Authority Name: SMBGATE-TEST$")


def groups(rpc):
    rpc.has("enumdomgroups", r"^group:\[None\] rid:\[0x201\]$")
    rpc.has("querygroup 513", r"Group Name:\s+None$", r"Num Members:2$")
    rpc.has("querygroupmem 513", rf"rid:\[{uid(USERS[0]):#x}\] attr:\[0x7\]")
    rpc.has("enumalsgroups builtin", r"^group:\[Administrators\] rid:\[0x220\]$")
    rpc.has("queryaliasmem builtin 544", r"sid:\[S-1-22-1-0\]")
    rpc.has("queryaliasmem builtin 545", *(rf"sid:\[S-1-22-1-{uid(user)}\]" for user in USERS))
    rpc.has(f"queryuseraliases builtin S-1-22-1-{uid(USERS[0])}", r"group rid:\[0x221\]$")


def privileges(rpc):
    rpc.has("lsaenumprivsaccount S-1-5-32-544", r"^0\s+9\s+3$")
    rpc.has("lsalookupprivvalue SeRestorePrivilege", r"^0:18 ")
    rpc.refused("lsalookupprivvalue SeNothing", "NT_STATUS_NO_SUCH_PRIVILEGE")
    rpc.refused(f"lsaenumacctrights S-1-22-1-{uid(USERS[0])}", "NT_STATUS_OBJECT_NAME_NOT_FOUND")


def many_names(rpc):
    """More than one fragment, both ways."""
    out = rpc.run("lookupnames " + " ".join(["root"] * 900))
    check(out.count("root S-1-22-1-0 (User: 1)") == 900, f"{out.count('root S-1-22-1-0')} of 900")
    out = rpc.run("lookupsids " + " ".join(["S-1-22-1-0"] * 900))
    check(out.count("root (1)") == 900, f"{out.count('root (1)')} of 900")


def guests(server):
    guest = Rpc(server, ("", ""))
    for command in ("lookupnames root", "enumdomusers"):
        out = guest.call(command)
        check("NT_STATUS_ACCESS_DENIED" in out and "S-1-22" not in out and USERS[0][0] not in out, f"{command}: {out}")
    out = guest.call("netshareenumall 1")
    check("netname: share" in out, out)


def permissions_by_name(server):
    """smbcacls asks for the names of what it shows, and for the SIDs of what it sets."""
    acls, first, second = Acls(server), *USERS
    with tempfile.TemporaryDirectory() as work:
        client = Client(server, work)
        client.run("share", [f"put {client.auth} named"])

    def smbcacls(*args):
        p = subprocess.run(["smbcacls", f"//{acls.address}/share", "named", "-s", "/dev/null", "-U",
                            f"{first[0]}%{first[1]}", *args], capture_output=True, text=True, timeout=60)
        check(p.returncode == 0, f"smbcacls {args}: {p.stdout}{p.stderr}")
        return p.stdout

    smbcacls("-S", rf"ACL:SMBGATE-TEST\{first[0]}:ALLOWED/0x0/FULL,ACL:{second[0]}:ALLOWED/0x0/READ,"
                   r"ACL:BUILTIN\Administrators:ALLOWED/0x0/FULL,ACL:Everyone:ALLOWED/0x0/READ")
    wanted = [entry(f"S-1-22-1-{uid(first)}", "0x001f01ff"), entry(f"S-1-22-1-{uid(second)}", "0x001200a9"),
              entry("S-1-5-32-544", "0x001f01ff"), entry("S-1-1-0", "0x001200a9")]
    check(sorted(acls.entries("named")) == sorted(wanted), acls.entries("named"))
    shown = smbcacls()
    for line in (rf"OWNER:SMBGATE-TEST\{first[0]}", r"GROUP:Unix Group" "\\", rf"ACL:SMBGATE-TEST\{second[0]}:ALLOWED",
                 r"ACL:BUILTIN\Administrators:ALLOWED", r"ACL:Everyone:ALLOWED"):
        check(line in shown, f"no {line} in\n{shown}")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--server", choices=KINDS, default="smbgate")
    kind = options.parse_args().server
    if not ROOT and kind == "smbd":
        sys.exit("smbd needs root")
    cases = Cases()
    settings = {"share": {"comment": "what it is"}, "other": {"comment": "what it is"}}
    if kind == "smbgate":
        settings["guests"] = {"guest": "ro"}
    with KINDS[kind](settings, signing="offered") as server:
        rpc = Rpc(server)
        # Without root there are no Unix accounts of these names.
        both = [names_to_sids, sids_to_names, policy, rights, changes_are_refused, shares] + [accounts] * ROOT
        for case in both:
            cases.run(case.__name__.replace("_", " "), case, rpc)
        if kind == "smbgate":
            for case in [privileges, many_names] + [one_picture, groups] * ROOT:
                cases.run(case.__name__.replace("_", " "), case, rpc)
            cases.run("guests learn no names", guests, server)
            if ROOT:
                cases.run("permissions by name", permissions_by_name, server)
            cases.run("the server's log has no panic", lambda: check(not server.panics(), server.panics()))
    cases.close()


if __name__ == "__main__":
    main()
