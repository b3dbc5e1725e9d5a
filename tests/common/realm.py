"""A Kerberos realm of its own on loopback: Debian's krb5kdc with a database, ports and files in one directory.

    with Realm("SMBGATE.TEST", users={"alice": "pw"}) as realm:
        realm.keytab(path, "cifs/nas.smbgate.test"); realm.tickets("alice", cache) ... realm.environment()

Names beneath smbgate.test lead to 127.0.0.1 for programs that run with `realm.environment()` (libnss-wrapper).
"""

import os
import shutil
import subprocess
import tempfile
import time

from servers import free_port

SBIN = os.environ["PATH"] + ":/usr/sbin:/sbin"
WRAPPER = "libnss_wrapper.so"


class Realm:
    def __init__(self, name, users, hosts, life="10h", **libdefaults):
        self.name, self.users, self.hosts, self.life = name, users, hosts, life
        self.libdefaults = libdefaults
        self.dir = tempfile.mkdtemp(prefix="smbgate-kdc-", dir="/var/tmp")
        os.chmod(self.dir, 0o755)
        self.port, self.kdc = free_port(), None

    def path(self, name):
        return os.path.join(self.dir, name)

    def config(self, name="krb5.conf", **libdefaults):
        """A krb5.conf with these settings beside the realm's own; its path."""
        lines = {"default_realm": self.name, "dns_lookup_kdc": "false", "dns_lookup_realm": "false", "rdns": "false",
                 "dns_canonicalize_hostname": "false", "udp_preference_limit": "1", **self.libdefaults, **libdefaults}
        with open(self.path(name), "w") as f:
            f.write("[libdefaults]\n" + "".join(f"    {k} = {v}\n" for k, v in lines.items()))
            f.write(f"[realms]\n    {self.name} = {{\n        kdc = 127.0.0.1:{self.port}\n    }}\n")
            f.write(f"[domain_realm]\n    .smbgate.test = {self.name}\n")
        return self.path(name)

    def environment(self, **more):
        return {**os.environ, "PATH": SBIN, "KRB5_CONFIG": self.path("krb5.conf"), "KRB5_KDC_PROFILE": self.path("kdc.conf"),
                "LD_PRELOAD": WRAPPER, "NSS_WRAPPER_HOSTS": self.path("hosts"), "LC_ALL": "C.UTF-8", **more}

    def __enter__(self):
        try:
            self.config()
            with open(self.path("kdc.conf"), "w") as f:
                f.write(f"""[kdcdefaults]
    kdc_listen = 127.0.0.1:{self.port}
    kdc_tcp_listen = 127.0.0.1:{self.port}
[realms]
    {self.name} = {{
        database_name = {self.path("principal")}
        key_stash_file = {self.path("stash")}
        acl_file = {self.path("acl")}
        max_life = {self.life}
    }}
""")
            with open(self.path("hosts"), "w") as f:
                f.write("127.0.0.1 localhost\n" + "".join(f"127.0.0.1 {host}\n" for host in self.hosts))
            self.call("kdb5_util", "create", "-s", "-r", self.name, "-P", "of no use elsewhere", "-W")
            for user, password in self.users.items():
                self.admin(f"addprinc -pw \"{password}\" {user}")
            with open(self.path("kdc.log"), "wb") as log:
                self.kdc = subprocess.Popen(["krb5kdc", "-n", "-r", self.name], env=self.environment(LD_PRELOAD=""),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait(self):
        """Until it gives tickets."""
        user, deadline = next(iter(self.users)), time.monotonic() + 20
        while True:
            try:
                return self.tickets(user, self.path("first"))
            except RuntimeError:
                if self.kdc.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def __exit__(self, *_):
        if self.kdc:
            self.kdc.terminate()
            self.kdc.wait(10)
        shutil.rmtree(self.dir, ignore_errors=True)

    def call(self, *command, text=None, **environment):
        p = subprocess.run(command, input=text, capture_output=True, text=True, env=self.environment(**environment), timeout=60)
        if p.returncode:
            raise RuntimeError(f"{' '.join(command)}: {p.stdout}{p.stderr}")
        return p.stdout

    def admin(self, command):
        return self.call("kadmin.local", "-r", self.name, "-q", command)

    def service(self, principal):
        self.admin(f"addprinc -randkey {principal}")

    def keytab(self, path, *principals, fresh=True):
        """Their keys as they are, or after a change with fresh; added to what the file has."""
        for principal in principals:
            self.admin(f"ktadd {'' if fresh else '-norandkey'} -k {path} {principal}")
        return path

    def tickets(self, user, cache, *services, life=None):
        """Logs a user on and gets tickets for these services; the cache's name."""
        if os.path.exists(cache):
            os.unlink(cache)
        name = f"FILE:{cache}"
        self.call("kinit", *(["-l", life] if life else []), "-c", name, user, text=self.users[user] + "\n")
        for service in services:
            self.call("kvno", "-c", name, service)
        return name
