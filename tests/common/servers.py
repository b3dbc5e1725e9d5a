"""A server under test on loopback: smbgate, or Debian's smbd for comparison (--server smbd).

    with Smbgate({"share": {}}, signing="required") as s:
        ... s.port, s.user, s.password, s.path("share"), s.log ...

A share's settings are the keys of smbgate.toml. Everything lives in one temporary directory and ends by
process id. Both servers have the users USERS; the first one stands in `user` and `password`.
"""

import contextlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.path.realpath(os.path.join(TOP, "..", "shared"))
USERS = [("smbgate-t1", "first Pass 1"), ("smbgate-t2", "second Pass 2")]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def unix_users():
    """smbgate and smbd act as the Unix account of the same name; only root can make and become one."""
    for name, _ in USERS:
        try:
            pwd.getpwnam(name)
        except KeyError:
            if os.geteuid() == 0:
                subprocess.run(["/usr/sbin/useradd", "--no-create-home", "--shell", "/usr/sbin/nologin", name],
                               check=True, capture_output=True)


def toml(value):
    """A TOML value; JSON's strings, numbers and lists are TOML's too."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


class Server:
    """What both servers have in common: a directory, a port, one process to start and to stop."""

    def __init__(self, shares, users=USERS, port=None, **settings):
        self.shares, self.users, self.settings = shares, users, settings
        self.user, self.password = users[0]
        self.port = port or free_port()
        # Not /tmp: where that is a tmpfs it may have no extended attributes.
        self.dir = tempfile.mkdtemp(prefix="smbgate-test-", dir="/var/tmp")
        self.log = os.path.join(self.dir, "server.log")
        os.chmod(self.dir, 0o755)
        self.process = None

    def path(self, share):
        return self.shares[share].get("path") or os.path.join(self.dir, "shares", share)

    def __enter__(self):
        try:
            unix_users()
            for name in self.shares:
                if not os.path.isdir(self.path(name)):
                    os.makedirs(self.path(name))
                    os.chmod(self.path(name), 0o777)
            self.prepare()
            self.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, env={**os.environ, **self.environment()})
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not come up:\n{self.tail()}")
            time.sleep(0.02)

    def stop(self):
        """SIGTERM, and the exit status. A server that does not go within 15 s is killed."""
        if not self.process:
            return 0
        self.process.terminate()
        try:
            status = self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = "killed: it did not stop within 15 s"
        self.process = None
        return status

    def __exit__(self, kind, *_):
        self.stop()
        if kind not in (None, SystemExit) and os.path.exists(self.log):
            print(f"--- the server's log, last lines\n{self.tail()}", file=sys.stderr)
        shutil.rmtree(self.dir, ignore_errors=True)

    def tail(self, lines=40):
        with open(self.log, errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    def panics(self):
        """Lines of the log that no run may have."""
        with open(self.log, errors="replace") as f:
            return [line.strip() for line in f if "panicked at" in line]

    def environment(self):
        return {}


class Smbgate(Server):
    def prepare(self):
        self.binary = os.environ.get("SMBGATE") or os.path.join(
            os.environ.get("CARGO_TARGET_DIR") or os.path.join(TOP, "target"), "release", "smbgate")
        self.config = os.path.join(self.dir, "smbgate.toml")
        keys = dict(self.settings)
        kerberos = keys.pop("kerberos", {})
        server = {"name": "smbgate-test", "listen": [f"127.0.0.1:{self.port}"],
                  "state_dir": os.path.join(self.dir, "state"), **keys}
        os.makedirs(server["state_dir"], exist_ok=True)
        with open(self.config, "w") as f:
            f.write("[server]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in server.items()))
            if kerberos:
                f.write("\n[kerberos]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in kerberos.items()))
            for name, keys in self.shares.items():
                keys = {"name": name, "path": self.path(name), **keys}
                f.write("\n[[share]]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in keys.items()))
        for name, password in self.users:
            subprocess.run([self.binary, "user", "add", name, "--password-stdin", "--config", self.config],
                           input=password + "\n", text=True, check=True, stdout=subprocess.DEVNULL)

    def command(self):
        return [self.binary, "serve", "--config", self.config]

    def environment(self):
        return {"SMBGATE_LOG": os.environ.get("SMBGATE_LOG", "info")}


class Smbd(Server):
    """Debian's smbd, with the settings that have a counterpart there; `extra` are more [global] lines."""

    SIGNING = {"required": "mandatory", "offered": "auto"}
    ENCRYPTION = {"required": "required", "offered": "if_required", "off": "off"}

    def prepare(self):
        for d in ("private", "state", "lock", "pid", "cache", "ncalrpc"):
            os.makedirs(os.path.join(self.dir, d))
        self.config = os.path.join(self.dir, "smb.conf")
        lines = f"""[global]
            server role = standalone server
            netbios name = SMBDTEST
            smb ports = {self.port}
            interfaces = 127.0.0.1
            bind interfaces only = yes
            disable netbios = yes
            disable spoolss = yes
            load printers = no
            printing = bsd
            printcap name = /dev/null
            passdb backend = tdbsam:{self.dir}/private/passdb.tdb
            log file = {self.dir}/smbd.log
            log level = 1
            max log size = 0
            map to guest = never
            server min protocol = SMB2_02
            server signing = {self.SIGNING[self.settings.get("signing", "required")]}
            server smb encrypt = {self.ENCRYPTION[self.settings.get("encryption", "offered")]}
            private dir = {self.dir}/private
            state directory = {self.dir}/state
            lock directory = {self.dir}/lock
            pid directory = {self.dir}/pid
            cache directory = {self.dir}/cache
            ncalrpc dir = {self.dir}/ncalrpc
            {self.settings.get("extra", "")}
            """
        for name, keys in self.shares.items():
            lines += f"""[{name}]
            path = {self.path(name)}
            comment = {keys.get("comment", "")}
            read only = {"yes" if keys.get("read_only") else "no"}
            guest ok = no
            create mask = 0777
            directory mask = 0777
            vfs objects = {self.settings.get("vfs", "acl_xattr streams_xattr")}
            store dos attributes = yes
            ea support = yes
            server smb encrypt = {self.ENCRYPTION[keys.get("encryption", "offered")]}
            {f'force user = {keys["owner"].split(":")[0]}' if "owner" in keys else ""}
            """
        with open(self.config, "w") as f:
            f.write(lines)
        for name, password in self.users:
            subprocess.run(["smbpasswd", "-c", self.config, "-s", "-a", name], input=f"{password}\n{password}\n",
                           text=True, check=True, capture_output=True)

    def command(self):
        return ["/usr/sbin/smbd", "--foreground", "--no-process-group", "-s", self.config]


KINDS = {"smbgate": Smbgate, "smbd": Smbd}
