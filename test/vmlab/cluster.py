# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab of whole machines: hosts, the storage that they share, the networks, and snapshots of it all."""

import contextlib
import json
import os
import shutil
import time

from lab.util import LabError, take_lock, write

from . import guest, image, net, qemu, setup, snapshot
from .host import Host, Storage
from .machine import each

MAX_HOSTS = 8


def source(module):
    """The text of a module, which what it makes depends on."""
    with open(module.__file__, encoding="utf-8") as file:
        return file.read()


class VmLab:
    """N hosts and an NFS server, each a machine; a context manager that brings them up and takes them down.

    They come up as the snapshot 'bare' (Debian, nothing configured), 'ready' (the hosts joined) or 'running' (a VM
    runs on h2). A snapshot that is not there is made from the same of another build, or from the one before it.
    Snapshots outlive the lab; these three are common to all labs.
    """

    ORDER = ("bare", "ready", "running")

    def __init__(self, n=2, build_dir=None, name=None, memory=1280, cpus=1, snapshot="ready"):
        self.n = n
        self.name = name or os.environ.get("VIRTX_VMLAB") or "vmlab"
        if not self.name.isalnum():
            raise LabError(f"the name of a lab is letters and digits, not '{self.name}'")
        if n > MAX_HOSTS:
            raise LabError(f"a lab has up to {MAX_HOSTS} hosts, not {n}")
        self.build_dir = os.path.abspath(build_dir) if build_dir else None
        self.memory = memory
        self.cpus = cpus
        self.wanted = snapshot
        self.accel = qemu.accelerator()
        self.image = image.image_dir()
        self.base = f"{image.CACHE}/lab-{self.name}"
        self.state = f"{self.base}/run"
        self.hosts = [Host(self, i) for i in range(1, n + 1)]
        self.storage = Storage(self)
        self.machines = [self.storage, *self.hosts]
        self._installed = None  # the name of what setup.Install has for these hosts
        self._lock = None

    @classmethod
    def attach(cls, name=None):
        """The lab of that name, brought up by another process."""
        lab = cls(0, name=name)
        try:
            with open(f"{lab.state}/lab.json") as file:
                kept = json.load(file)
        except FileNotFoundError:
            raise LabError(f"lab '{lab.name}' is not up") from None
        lab = cls(name=lab.name, **kept["options"])
        lab.accel, lab.image, lab._installed = kept["accel"], kept["image"], kept["installed"]
        return lab

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *exc):
        self.down()

    def machine(self, name):
        """A machine by its name (h1, nfs), or a host by its number."""
        for machine in self.machines:
            if str(name) == machine.name or str(name) == str(machine.n) and machine is not self.storage:
                return machine
        raise LabError(f"lab '{self.name}' has no machine '{name}'")

    host = machine

    # Up and down

    def up(self):
        """Bring it up as the snapshot that is wanted; what an earlier lab of the name left is taken down first."""
        if os.geteuid() != 0:
            raise LabError("the lab makes namespaces and taps: run it as root")
        self.down()
        self._take_lock()
        write(f"{self.base}/times", "")
        with self.timed("the image"):
            self.image = image.build()
        os.makedirs(self.state)
        net.create(self.name, [machine.n for machine in self.machines])
        if self.wanted != "bare":
            self._installed = setup.Install(self.build_dir).name
            self._forget_old()
        options = {"n": self.n, "build_dir": self.build_dir, "memory": self.memory, "cpus": self.cpus,
                   "snapshot": self.wanted}
        with open(f"{self.state}/lab.json", "w") as file:
            json.dump({"options": options, "accel": self.accel, "image": self.image, "installed": self._installed}, file)
        self.restore(self.wanted)

    def down(self):
        """Take everything down, whatever state it is in; nothing to do is no error."""
        self._take_lock()
        net.delete(self.name)
        shutil.rmtree(self.state, ignore_errors=True)
        self._drop_lock()

    # Snapshots

    def _machines(self):
        """A name for what the machines are made of: a state is one of such machines only."""
        return image.digest(self.image, self.accel, str(self.n), str(self.memory), str(self.cpus), source(qemu))

    def _key(self, name):
        """What a snapshot is only good for: the machines, how they were configured, the build."""
        if name == "bare" or not self._installed:
            return [self._machines()]
        recipe = [source(setup)] if name == "ready" else [source(setup), source(guest)]
        return [self._machines(), image.digest(*recipe), self._installed]

    @contextlib.contextmanager
    def timed(self, what):
        """Note how long something took, in a file that the next up begins anew."""
        begin = time.monotonic()
        yield
        with open(f"{self.base}/times", "a") as file:
            file.write(f"{time.monotonic() - begin:6.1f} s  {what}\n")

    def times(self):
        with open(f"{self.base}/times") as file:
            return file.read()

    def _path(self, name):
        if name in self.ORDER:
            return f"{self.image}/{'-'.join([name, *self._key(name)])}"
        return f"{self.base}/snapshots/{name}"

    def _own(self):
        """The names of the snapshots that are this lab's only, good or not."""
        try:
            return sorted(name for name in os.listdir(f"{self.base}/snapshots") if name not in self.ORDER)
        except FileNotFoundError:
            return []

    def snapshots(self):
        """The names of the snapshots that are there."""
        return [name for name in [*self.ORDER, *self._own()] if snapshot.note(self._path(name))]

    def _forget_old(self):
        """Remove the lab's snapshots of other builds: none is good for this one."""
        for name in self._own():
            kept = snapshot.note(self._path(name))
            if not kept or kept["key"] != self._key(name):
                self.forget(name)

    def forget(self, name):
        """Remove a snapshot and all that were made from it."""
        snapshot.remove(self._path(name))

    def _parent(self):
        """The directory of the snapshot that the machines' disks are laid over."""
        try:
            with open(f"{self.state}/parent") as file:
                return file.read() or None
        except FileNotFoundError:
            return None

    def _go_on(self, path, at):
        """The machines go on from that snapshot, as it is that time for them."""
        write(f"{self.state}/behind", str(time.time() - at))
        write(f"{self.state}/parent", path or "")

    def now(self):
        """What time it is for the machines, whose clocks stood still while they were a snapshot."""
        try:
            with open(f"{self.state}/behind") as file:
                return time.time() - float(file.read())
        except FileNotFoundError:
            return time.time()

    def snapshot(self, name):
        """Keep the state of all machines, as it is at one moment, under that name; they go on from there."""
        if snapshot.note(self._path(name)):
            raise LabError(f"there is a snapshot '{name}'")
        self._snapshot(name, True)

    def _snapshot(self, name, fresh):
        with self.timed(f"save '{name}'"):
            self._save(name, fresh)
        self.restore(name)

    def _save(self, name, fresh):
        path = self._path(name)
        part = f"{path}.{self.name}.part"
        shutil.rmtree(part, ignore_errors=True)
        os.makedirs(part)
        # A machine that loses power after a restore is to lose nothing of before.
        each(lambda machine: machine.run(["sync"]), self.machines)
        for machine in self.machines:
            machine.monitor("stop")
        now = self.now()
        each(lambda machine: machine.save(f"{part}/{machine.name}.state"), self.machines)
        for machine in self.machines:
            machine.off()
            os.rename(machine.disk, f"{part}/{machine.name}.qcow2")
        snapshot.finish(part, path, parent=self._parent(), time=now, key=self._key(name), fresh=fresh,
                        equipment={machine.name: machine.own_equipment() for machine in self.machines})

    def restore(self, name):
        """Have all machines be what they were at that snapshot; one of ORDER is made if need be."""
        if not snapshot.note(self._path(name)):
            if name not in self.ORDER:
                raise LabError(f"there is no snapshot '{name}', but: {', '.join(self.snapshots())}")
            self._make(name)
            return
        with self.timed(f"restore '{name}'"):
            self._restore(self._path(name))

    def _restore(self, path):
        snapshot.used(path)
        kept = snapshot.note(path)
        for machine in self.machines:
            machine.off()
            machine.forget_run()
            machine.new_disk(f"{path}/{machine.name}.qcow2")
            machine.new_equipment(kept["equipment"][machine.name])
        each(lambda machine: machine.switch_on(f"{path}/{machine.name}.state"), self.machines)
        for machine in self.machines:
            machine.wait_restored()
        self._go_on(path, kept["time"])
        for machine in self.machines:
            machine.monitor("cont")
        for machine in self.machines:
            machine.wait_agent()

    def _make(self, name):
        """Have a snapshot of ORDER that is not there; labs that want the same at once wait for the first one's."""
        if name != "bare" and not self._installed:
            raise LabError(f"lab '{self.name}' came up as 'bare': there is no build to make '{name}' of")
        before = None if name == "bare" else self.ORDER[self.ORDER.index(name) - 1]
        other = self._of_another_build(name)
        if before and not other and not snapshot.note(self._path(before)):
            self._make(before)
        with image.locked(name):
            if not snapshot.note(self._path(name)):
                self._bring_about(name, before, other)
                self._snapshot(name, not other)
                return
        self.restore(name)

    def _of_another_build(self, name):
        """The path of the snapshot of that name that was made for another build; None if there is none."""
        if name == "bare":
            return None
        machines, recipe, _ = self._key(name)
        return snapshot.fresh(f"{self.image}/{name}-{machines}-{recipe}-*")

    def _bring_about(self, name, before, other):
        """Make the machines what a snapshot of ORDER is of, from another build's where there is one."""
        if name == "bare":
            with self.timed("boot"):
                self._boot()
        elif other:
            self._restore(other)
            with self.timed(f"make '{name}' of another build's"):
                setup.upgrade(self)
        else:
            self.restore(before)
            with self.timed(f"make '{name}'"):
                (setup.make_ready if name == "ready" else guest.start)(self)

    def _boot(self):
        """Switch all machines on, with new disks."""
        for machine in self.machines:
            machine.forget_run()
            machine.new_disk(f"{self.image}/base.qcow2")
            machine.switch_on()
        self._go_on(None, time.time())
        for machine in self.machines:
            machine.wait_agent(300)
        for machine in self.machines:
            machine.wait_system(300)
        # What libvirtd finds out about QEMU takes it a while, and is kept.
        each(lambda host: host.virsh("capabilities", timeout=120), self.hosts)

    def _take_lock(self):
        if self._lock is None:
            self._lock = take_lock(f"{self.base}/lock", self.name, "VIRTX_VMLAB")

    def _drop_lock(self):
        self._lock.close()
        self._lock = None
