# SPDX-License-Identifier: GPL-2.0-or-later
"""The roles of the machines: hosts of the federation, and the storage that they share."""

from lab import rest
from lab.util import PATIENCE, sanlock_lists, wait_for

from . import net
from .machine import Machine

API_PORT = 8080

# What a host runs, in the order of starting.
DAEMONS = ("libvirtd", "wdmd", "sanlock", "serf", "virtxd")


class Storage(Machine):
    """The NFS server; what it exports is /srv/vms, which the hosts have as /vms."""

    masked = ("libvirtd.service", "libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket",
              "virtlogd.socket", "virtlogd-admin.socket", "virtlockd.socket", "virtlockd-admin.socket",
              "libvirt-guests.service", "wdmd.service", "sanlock.service", "serf.service")

    def __init__(self, lab):
        super().__init__(lab, "nfs", 10)


class Host(Machine):
    """A host of the federation; made by VmLab."""

    masked = ("nfs-server.service",)

    def __init__(self, lab, n):
        self.memory = lab.memory
        self.cpus = lab.cpus
        super().__init__(lab, f"h{n}", n)

    def virsh(self, *args, **kwargs):
        """Run virsh on the host."""
        return self.run(["virsh", "-q", "-c", "qemu:///system", *args], **kwargs)

    def virtx(self, *args, **kwargs):
        """Run the command line under test on the host; its exit code is the caller's to check."""
        return self.run(["virtx", *args], **{"check": False, **kwargs})

    def serf(self, command, *args, **kwargs):
        """Run a serf command on the host."""
        return self.run(["serf", command, *args], **kwargs)

    def sanlock_status(self):
        """What sanlock knows: lists of text under 'lockspaces', 'processes' and 'resources'."""
        return sanlock_lists(self.run(["sanlock", "client", "status"]).stdout)

    def qemu_users(self):
        """Whose the processes of QEMU on the host are, as ps shows it."""
        return set(self.run(["ps", "-C", "qemu-system-x86", "-o", "user:32="], check=False).stdout.split())

    def denials(self):
        """What AppArmor has refused on the host, as the kernel logged it, in all its boots."""
        found = self.run(["journalctl", "--no-pager", "-q", "-o", "short-precise", "-g", 'apparmor="DENIED"',
                          "_TRANSPORT=kernel"], check=False)  # the agent logs this command
        return found.stdout.splitlines()

    def connect(self, port=API_PORT, timeout=90):
        """A TCP connection to the host, as a socket of this process, by a network that is never cut."""
        sock = net.open_socket(self.lab.name)
        sock.settimeout(timeout * PATIENCE)
        try:
            sock.connect((net.address(self.n, "control"), port))
        except BaseException:
            sock.close()
            raise
        return sock

    def api(self, method, path, body=None, headers=None, timeout=90, port=API_PORT):
        """One request to the host's virtxd; a body that is not text or bytes is sent as JSON."""
        return rest.request(self.connect(port, timeout), f"{self.name}:{port}", method, path, body, headers)

    def readyz(self):
        """The status of /readyz, and what it says; 0 and why not when nothing answers."""
        try:
            answer = self.api("GET", "/readyz", timeout=10)
            return answer.status, answer.text
        except OSError as error:
            return 0, str(error)

    def wait_ready(self, timeout=120):
        """Wait until virtxd has all that it needs."""
        said = None

        def is_ready():
            nonlocal said
            said = self.readyz()
            return said[0] == 200

        try:
            wait_for(f"{self.name} to be ready", is_ready, timeout, 0.2)
        except Exception as error:
            error.args = (f"{error}: {said}",)
            raise
