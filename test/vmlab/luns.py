# SPDX-License-Identifier: GPL-2.0-or-later
"""LUNs: a kernel's iSCSI target on the storage machine, at two addresses of it, and hosts that find them by open-iscsi and
dm-multipath, as the README says."""

import contextlib
import hashlib
import json
import re
import shlex

from lab import readme
from lab.util import wait_for

from . import image, net
from .machine import each

PORTALS = (net.address(10, "storage"), "10.78.1.20")
IQN = "iqn.2026-01.net.example"

# By this, each LUN has a content of its own, and a LUN that was written to or emptied is told from one that was not.
# The arguments are fill or look, then names; what is found is 'kept', 'empty', or at which MiB it is which.
CONTENT = """\
import hashlib, json, os, sys
MIB = 1 << 20
def pattern(name):
    return hashlib.sha256(name.encode()).digest() * (MIB // 32)
def look(name):
    found, whole = [], pattern(name)
    with open("/srv/luns/" + name, "rb") as file:
        while piece := file.read(MIB):
            found.append("kept" if piece == whole else "empty" if piece == bytes(MIB) else "other")
    return found[0] if len(set(found)) == 1 else " ".join(found)
def fill(name):
    with open("/srv/luns/" + name, "r+b") as file:
        for _ in range(os.path.getsize(file.name) // MIB):
            file.write(pattern(name))
done = {name: globals()[sys.argv[1]](name) for name in sys.argv[2:]}
print(json.dumps(done))
"""

SETUP = """\
modprobe -a loop target_core_mod target_core_iblock iscsi_target_mod
ip address replace {second}/24 dev eth1
mkdir -p /srv/luns
"""

# A device of the kernel's rather than a file: it can grow.
BACKSTORE = """\
truncate -s {mib}M /srv/luns/{name}
store=/sys/kernel/config/target/core/iblock_0/{name}
mkdir -p $store
echo "udev_path=$(losetup -f --show /srv/luns/{name})" > $store/control
echo 1 > $store/enable
echo {serial} > $store/wwn/vpd_unit_serial
echo {discards} > $store/attrib/emulate_tpu
"""

TARGET = """\
group=/sys/kernel/config/target/iscsi/{iqn}/tpgt_1
if [ ! -d $group ]; then
    mkdir -p $group
    echo 0 > $group/attrib/authentication
    echo 1 > $group/attrib/generate_node_acls
    echo 1 > $group/attrib/cache_dynamic_acls
    echo 0 > $group/attrib/demo_mode_write_protect
    for portal in {portals}; do mkdir $group/np/$portal:3260; done
    echo 1 > $group/enable
fi
"""

MAP = """\
place=/sys/kernel/config/target/iscsi/{iqn}/tpgt_1/lun/lun_{number}
mkdir $place
ln -s /sys/kernel/config/target/core/iblock_0/{name} $place/{name}
"""

UNMAP = """\
place=/sys/kernel/config/target/iscsi/{iqn}/tpgt_1/lun/lun_{number}
rm $place/{name}
rmdir $place
"""

RULES = """\
nft add table ip luns
nft add chain ip luns input '{{ type filter hook input priority 0 ; }}'
nft add rule ip luns input ip saddr {host} ip daddr '{{ {portals} }}' tcp dport 3260 drop
"""


class Lun:
    """One of the storage's, as a number of a target that is at some portals."""

    def __init__(self, name, number, mib, paths=2, discards=True):
        self.name, self.number, self.mib, self.paths, self.discards = name, number, mib, paths, discards
        self.iqn = f"{IQN}:paths{paths}"
        self.serial = hashlib.sha256(name.encode()).hexdigest()[:32]
        self.wwid = f"36001405{self.serial[:25]}"  # as Linux's target makes it

    def __repr__(self):
        return f"<LUN {self.name}>"

    @property
    def by_id(self):
        """The path that is the same on every host, as VirtX has it."""
        return f"/dev/disk/by-id/{'dm-uuid-mpath' if self.paths > 1 else 'scsi'}-{self.wwid}"

    def texts(self):
        return {"name": self.name, "mib": self.mib, "serial": self.serial, "discards": int(self.discards), "iqn": self.iqn,
                "number": self.number, "portals": " ".join(PORTALS[:self.paths])}


class Luns:
    """The LUNs of a lab whose hosts are ready."""

    def __init__(self, lab, *luns):
        self.lab = lab
        self.luns = list(luns)

    def __getitem__(self, name):
        return next(lun for lun in self.luns if lun.name == name)

    def snapshot(self):
        """The name of the lab's snapshot in which they are as they are made."""
        with open(__file__, encoding="utf-8") as file:
            parts = [file.read(), readme.section("LUNs"), *(str(lun.texts()) for lun in self.luns)]
        return f"luns-{image.digest(*parts)}"

    def restore(self):
        """Have the machines be ready, and the LUNs as they are made."""
        name = self.snapshot()
        if name in self.lab.snapshots():
            self.lab.restore(name)
            return
        for other in self.lab.snapshots():
            if other.startswith("luns-"):
                self.lab.forget(other)
        self.lab.restore("ready")
        with self.lab.timed("make LUNs, and have the hosts find them"):
            self.make()
        self.lab.snapshot(name)

    def make(self):
        """Make them, each with a content of its own, and have the hosts find them."""
        script = SETUP.format(second=PORTALS[1])
        for lun in self.luns:
            script += (BACKSTORE + TARGET + MAP).format(**lun.texts())
        self.lab.storage.shell(script, timeout=120)
        self.fill()
        each(self.find, self.lab.hosts)

    def find(self, host):
        """What the README has somebody do on a host that is to have LUNs."""
        for block in readme.blocks("LUNs"):
            if block.file:
                host.write(block.file, block.text.replace("host1", host.name))
            else:
                host.shell(block.text.replace("192.0.2.20", PORTALS[0]), timeout=120)
        for lun in self.luns:
            self.wait_found(host, lun)

    def wait_found(self, host, lun, timeout=60):
        wait_for(f"{host.name} to have {lun}", lambda: self.paths(host, lun) == ["running"] * lun.paths, timeout, 0.3)

    # On a host

    def device(self, host, lun):
        """The kernel's name of the device: dm-0, sda."""
        return host.run(["readlink", "-f", lun.by_id]).stdout.strip().removeprefix("/dev/")

    def disks(self, host, lun):
        """The names of the SCSI disks that are its paths."""
        device = self.device(host, lun)
        return sorted(host.run(["ls", f"/sys/block/{device}/slaves"]).stdout.split()) or [device]

    def paths(self, host, lun):
        """The states of its paths, [] where the host has not found it."""
        script = f"""\
        device=$(readlink -e {lun.by_id}) || exit 0
        at=/sys/block/${{device#/dev/}}
        [ -z "$(ls $at/slaves)" ] || at="$at/slaves/*"
        for path in $at; do cat $path/device/state; done
        """
        return host.shell(script).stdout.split()

    def path_states(self, host, lun):
        """What multipathd has of its paths, such as "failed faulty"; multipath itself would try them."""
        shown = host.run(["multipathd", "show", "paths", "raw", "format", "%w %t %T"]).stdout
        return [line.partition(" ")[2] for line in shown.splitlines() if line.startswith(lun.wwid)]

    def rescan(self, host):
        """What somebody does after a change of the storage."""
        host.shell("iscsiadm -m session -R; udevadm settle", timeout=120)

    # On the storage

    def content(self, what, *luns):
        names = [lun.name for lun in luns or self.luns]
        return json.loads(self.lab.storage.run(["python3", "-IS", "-c", CONTENT, what, *names], timeout=120).stdout)

    def look(self, *luns):
        """What is on these, or all, by name: 'kept', 'empty', or which MiB is what."""
        return self.content("look", *luns)

    def fill(self, *luns):
        """Give them their own content again."""
        self.content("fill", *luns)

    def copy(self, file, lun):
        """Put a file of the storage machine at the beginning of a LUN."""
        self.lab.storage.run(["dd", f"if={file}", f"of=/srv/luns/{lun.name}", "bs=1M", "conv=notrunc", "status=none"])

    def told(self, lun):
        """What a guest has written on a LUN that it counts on: what it counted, the LUN's size in sectors, how many writes
        failed, vendor and model; None for one that has not begun."""
        sectors = f"{{ head -c 512; head -c 512 > /dev/null; head -c 512; }} < /srv/luns/{lun.name}"
        found = re.fullmatch(r"(\d+)\n\0*(\d+) (\d+) (.*)\n\0*", self.lab.storage.shell(sectors).stdout)
        return found and (int(found[1]), int(found[2]), int(found[3]), found[4].strip())

    def unmap(self, lun):
        """The storage takes the LUN away; it tells nobody."""
        self.lab.storage.shell(UNMAP.format(**lun.texts()))

    def map(self, lun, number=None):
        """The storage gives the LUN, under this number."""
        lun.number = lun.number if number is None else number
        self.lab.storage.shell(MAP.format(**lun.texts()))

    def resize(self, lun, mib):
        """The storage makes it larger or smaller."""
        lun.mib = mib
        path = shlex.quote(f"/srv/luns/{lun.name}")
        self.lab.storage.shell(f"truncate -s {mib}M {path}; losetup -c $(losetup -n -O NAME -j {path})")

    @contextlib.contextmanager
    def cut(self, host, *portals):
        """What a host sends to these portals is lost meanwhile."""
        self.lab.storage.shell(RULES.format(host=net.address(host.n, "storage"), portals=", ".join(portals)))
        try:
            yield
        finally:
            self.lab.storage.run(["nft", "delete", "table", "ip", "luns"])
