# SPDX-License-Identifier: GPL-2.0-or-later
"""nginx on a host of the lab: Debian's configuration, with what the README has for VirtX."""

import os
import shutil
import subprocess

from . import readme
from .tls import Authority
from .util import LabError, wait_for, write

NAME = "vms.example.net"
PATH = "/virtx"
CA = "/run/proxy-ca.pem"  # on every host
PORT = 443


def servers(host, port):
    """The README's configuration, for a host that listens there."""
    text = readme.block("proxy_pass", "A proxy in front")
    for theirs, ours in (("192.0.2.1:8080", f"{host.addr}:{port}"), ("HOST", host.name)):
        if text.count(theirs) != 1:
            raise LabError(f"the README's configuration has not one '{theirs}'")
        text = text.replace(theirs, ours)
    return text


class Proxy:
    """A host's nginx; its files are the host's own. Each host knows its name, and its CA."""

    def __init__(self, host, folder, http="", **sites):
        """http is what stands in that section besides, sites what is in files of their own."""
        self.host, self.process = host, None
        authority = Authority(folder, "web")
        certificate, key = authority.sign("vms", f"DNS:{NAME}")
        state = f"{host.state}/etc-nginx"
        shutil.copytree("/etc/nginx", state, symlinks=True)
        for name in ("conf.d", "sites-enabled"):
            shutil.rmtree(f"{state}/{name}", ignore_errors=True)
            os.mkdir(f"{state}/{name}")
        with open(f"{host.state}/etc-virtx/ca.pem") as file:
            write(f"{state}/virtx-ca.pem", file.read())
        write(f"{state}/vms.pem", certificate)
        write(f"{state}/vms.key", key, 0o600)
        write(f"{state}/conf.d/http.conf", http)
        for name, text in sites.items():
            write(f"{state}/conf.d/{name}.conf", text)
        host.run(["mount", "--bind", state, "/etc/nginx"])
        host.run(["mount", "-t", "tmpfs", "tmpfs", "/var/lib/nginx"])
        host.run(["mkdir", "/var/log/nginx"])
        for other in host.lab.hosts:
            with open(f"{other.state}/hosts", "a") as file:
                file.write(f"{host.addr} {NAME}\n")
            other.run(["tee", CA], input=authority.read("web.pem"))

    def start(self):
        self.host.run(["nginx", "-t"])
        self.process = self.host.popen(["nginx", "-g", "daemon off;"], stderr=subprocess.DEVNULL)
        wait_for("nginx", self._listens)

    def _listens(self):
        try:
            self.host.connect(PORT, self.host.addr).close()
        except ConnectionRefusedError:
            return False
        return True

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(20)

    def log(self):
        """What it has said of what went wrong."""
        with open(f"{self.host.state}/log/nginx/error.log") as file:
            return file.read()
