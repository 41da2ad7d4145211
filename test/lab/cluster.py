"""The lab itself: N hosts, the network between them and the storage that they share."""

import json
import os
import shutil
import subprocess

from . import daemons, net, storage
from .host import Host
from .util import LabError, take_lock, wait_for


class Lab:
    """N hosts; a context manager that brings them up and takes them down.

    storage is 'dir' (a directory of this machine) or 'ext4' (a file system of size_mib of its own,
    which can be frozen and filled). config is {section: {key: value}} laid over virtxd's
    configuration; with virtxd=False it is not started. With watchdog=True each host has one, of the
    lab's own, below the real wdmd: what ends it ends all of the host.
    """

    STATE = "/var/lib/virtx-lab"

    def __init__(self, n=1, build_dir=None, name=None, storage="dir", size_mib=2048, config=None,
                 virtxd=True, watchdog=False):
        self.n = n
        self.name = name or os.environ.get("VIRTX_LAB") or "lab"
        if not self.name.isalnum():
            raise LabError(f"the name of a lab is letters and digits, not '{self.name}'")
        self.build_dir = os.path.abspath(build_dir) if build_dir else None
        self.storage = storage
        self.size_mib = size_mib
        self.config = config or {}
        self.virtxd = virtxd
        self.watchdog = watchdog
        self.state = f"{self.STATE}/{self.name}"
        self.vms = f"{self.state}/vms"
        self.serf_key = f"serf-{self.name}"
        self.preload = None
        self.hosts = [Host(self, i) for i in range(1, n + 1)]
        self._lock = None

    @classmethod
    def attach(cls, name=None):
        """The lab of that name, brought up by another process."""
        lab = cls(0, name=name)
        try:
            with open(f"{lab.state}/lab.json") as file:
                return cls(name=lab.name, **json.load(file))
        except FileNotFoundError:
            raise LabError(f"lab '{lab.name}' is not up") from None

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *exc):
        self.down()

    def host(self, name):
        """A host by its name (h1) or number."""
        for host in self.hosts:
            if str(name) in (host.name, str(host.n)):
                return host
        raise LabError(f"lab '{self.name}' has no host '{name}'")

    def up(self):
        """Bring everything up; what an earlier lab of the name left is taken down first."""
        daemons.check_installed(self.virtxd, self.build_dir)
        self.down()
        self._take_lock()
        os.makedirs(self.state, mode=0o755)
        storage.create(self.storage, self.vms, self.size_mib)
        with open(f"{self.state}/lab.json", "w") as file:
            json.dump({"n": self.n, "build_dir": self.build_dir, "storage": self.storage,
                       "size_mib": self.size_mib, "config": self.config,
                       "virtxd": self.virtxd, "watchdog": self.watchdog}, file)
        self.preload = daemons.build_preload(self.state)
        if self.watchdog:
            daemons.build_watchdog(self.state)
        net.create_bridge(self.name)
        for host in self.hosts:
            host.up()
        for daemon in daemons.order(self)[:-1]:
            for host in self.hosts:
                host.launch(daemon)
        for daemon in daemons.order(self)[:-1]:
            for host in self.hosts:
                host.wait_ready(daemon)
        self.wait_members()
        if self.virtxd:
            for host in self.hosts:
                host.launch("virtxd")
            for host in self.hosts:
                host.wait_ready("virtxd")
            self.init_storage()

    def init_storage(self):
        """Make what is shared known for VirtX's storage, by the first host."""
        done = self.hosts[0].virtx("storage", "init", timeout=60)
        if done.returncode != 0:
            raise LabError(f"virtx storage init: {done.stderr}")

    def wait_members(self, timeout=30):
        """Wait until each host's serf sees all hosts alive."""
        for host in self.hosts:

            def all_alive():
                members = json.loads(host.serf("members", "-format=json").stdout)["members"]
                return sum(member["status"] == "alive" for member in members) == self.n

            wait_for(f"{self.n} serf members at {host.name}", all_alive, timeout)

    def down(self):
        """Take everything down, whatever state it is in; nothing to do is no error.

        LabError, at its end, where something was made at /vms while the storage was not mounted."""
        self._take_lock()
        storage.thaw_leftover(self.vms)
        for namespace in net.namespaces(self.name):
            net.delete(namespace)
        for host in self.hosts:
            host.reap()
        storage.destroy(self.vms)
        stray = [name for host in self.hosts for name in host.on_local_disk()]
        if os.path.isdir(self.state):
            shutil.rmtree(self.state)
        self._drop_lock()
        if stray:
            raise LabError(f"made at /vms on a local disk, not on the storage: {', '.join(stray)}")

    def _take_lock(self):
        if self._lock is None:
            self._lock = take_lock(f"{self.STATE}/{self.name}.lock", self.name, "VIRTX_LAB")

    def _drop_lock(self):
        self._lock.close()
        self._lock = None

    # Faults of the storage, for all hosts at once; with storage='ext4' only.

    def freeze(self):
        """Hang every write to /vms until thaw."""
        subprocess.run(["fsfreeze", "-f", self.vms], check=True)

    def thaw(self):
        subprocess.run(["fsfreeze", "-u", self.vms], check=True)

    def fill(self, leave=0):
        """Fill /vms, leaving about so many bytes free; drain ends it."""
        storage.fill(self.vms, leave)

    def drain(self):
        os.unlink(f"{self.vms}/ballast")
