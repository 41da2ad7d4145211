# SPDX-License-Identifier: GPL-2.0-or-later
"""A CA for a lab, and certificates for its hosts."""

import subprocess

from .util import write

TLS_PORT = 8443


class Authority:
    """A CA with its files in a folder, NAME.pem and NAME.key."""

    def __init__(self, folder, name="ca"):
        self.folder, self.name = str(folder), name
        self._openssl("req", "-x509", *self._new_key(name), "-days", "100", "-out", f"{name}.pem")

    def _openssl(self, *args):
        subprocess.run(["openssl", *args], cwd=self.folder, check=True, capture_output=True)

    @staticmethod
    def _new_key(name, rsa=False):
        kind = ("rsa:2048",) if rsa else ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        return ("-newkey", *kind, "-noenc", "-subj", f"/CN={name}", "-keyout", f"{name}.key")

    def read(self, file):
        with open(f"{self.folder}/{file}") as text:
            return text.read()

    def sign(self, name, san, days=30, rsa=False):
        """A certificate and its key, as texts; with days below 0 it has ended."""
        self._openssl("req", "-new", *self._new_key(name, rsa), "-out", f"{name}.csr")
        write(f"{self.folder}/{name}.ext", f"subjectAltName = {san}\n")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{self.name}.pem", "-CAkey", f"{self.name}.key",
                      "-days", str(days), "-extfile", f"{name}.ext", "-out", f"{name}.pem")
        return self.read(f"{name}.pem"), self.read(f"{name}.key")

    def equip(self, host, san=None, days=30, rsa=False):
        """The host gets a certificate, its own unless said otherwise, and what others' are checked by."""
        certificate, key = self.sign(host.name, san or f"URI:virtx:host:{host.uuid}, DNS:{host.name}, IP:{host.addr}",
                                     days, rsa)
        write(f"{host.state}/etc-virtx/ca.pem", self.read(f"{self.name}.pem"))
        write(f"{host.state}/etc-virtx/host.key", key, 0o600)
        write(f"{host.state}/etc-virtx/host.pem", certificate)

    def give_key(self, host, config):
        """The host signs certificates of others with this configuration."""
        write(f"{host.state}/etc-virtx/ca.key", self.read(f"{self.name}.key"), 0o600)
        config["tls"]["ca_key"] = "/etc/virtx/ca.key"


def settings(host, **virtxd):
    """virtxd's configuration of a host that serves others by TLS alone."""
    return {
        "virtxd": virtxd,
        "http": {"listen": ["127.0.0.1:8080 open", f"127.0.0.1:{TLS_PORT} tls open", f"{host.addr}:{TLS_PORT} tls open"]},
        "tls": {"certificate": "/etc/virtx/host.pem", "key": "/etc/virtx/host.key", "ca": "/etc/virtx/ca.pem"},
    }


def make_user(host, name, role, *args):
    """A user's certificate, by a host that has the CA's key; /run/NAME.pem and /run/NAME.key of each host."""
    host.run(["env", "-C", "/run", f"{host.lab.build_dir}/virtx/virtx", "user", "certificate", name, "--role", role, *args])
    for file in (f"/run/{name}.pem", f"/run/{name}.key"):
        for other in host.lab.hosts:
            if other is not host:
                other.run(["install", "-m", "600", "/dev/stdin", file], input=host.run(["cat", file]).stdout)
