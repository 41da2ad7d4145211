# SPDX-License-Identifier: GPL-2.0-or-later
"""`systemctl restart` of each daemon of a host while VMs run: they run on, on that host alone, and keep their leases.
VIRTX_ORDERS=20 tries so many orders of all of them, from VIRTX_SEED on."""

import os
import random
import time

from conftest import TIMES, VMS
from lab import PATIENCE, wait_for
from lab.vms import wait_runstate
from test_smoke import leases
from vmlab import guest
from vmlab.watch import Watch

SEED = int(os.environ.get("VIRTX_SEED", "1"))
ORDERS = int(os.environ.get("VIRTX_ORDERS", "1"))
DAEMONS = ("libvirtd", "sanlock", "wdmd", "serf", "virtxd")
STAY = ("sanlock", "wdmd")  # while the host is in the lockspace they do not end
WRONG = 10 * PATIENCE  # seconds for which the other host may say what is not so any more


class Vms:
    """The VMs that run on the second host, and what shows that none was started again, nor elsewhere."""

    def __init__(self, lab):
        self.lab = lab
        self.other, self.host = lab.hosts
        self.names = {item["uuid"]: item["fields"]["name"] for item in self.host.api("GET", "/vms").json()["items"]}
        self.pids = self.processes()
        self.counted = self.counts()

    def processes(self):
        return {uuid: self.host.read(f"/run/libvirt/qemu/{uuid}.pid") for uuid in self.names}

    def counts(self):
        return {uuid: guest.count(self.lab, name) for uuid, name in self.names.items()}

    def check(self):
        """They run in the same QEMU, which has its leases, and the guests go on counting from where they were."""
        for name in self.names.values():
            guest.wait_counting(self.lab, name)
        before, self.counted = self.counted, self.counts()
        assert all(self.counted[uuid] > before[uuid] for uuid in self.names), (before, self.counted)
        assert self.processes() == self.pids
        assert leases(self.host) == 3 * VMS
        assert set(self.host.virsh("list", "--uuid").stdout.split()) == set(self.names)
        # libvirt keeps a log of each VM that it has ever started.
        logs = self.other.run(["ls", "/var/log/libvirt/qemu"]).stdout
        assert not [uuid for uuid in self.names if uuid in logs]


def processes(host, daemon):
    """The processes of a daemon, its helpers too."""
    return host.run(["cat", f"/sys/fs/cgroup/system.slice/{daemon}.service/cgroup.procs"], check=False).stdout.split()


def restart(vms, daemon):
    """Restart it, and see what became of it and of the VMs; how long it took, and when."""
    before, begin = processes(vms.host, daemon), time.time()
    code = vms.host.run(["systemctl", "restart", daemon], timeout=400, check=False).returncode
    end = time.time()
    vms.host.wait_ready()
    ready = time.time()
    after = processes(vms.host, daemon)
    TIMES.append(f"{end - begin:6.1f} s  to restart {daemon}: exit {code}, processes {before} are {after}, ready after "
                 f"{ready - begin:.1f} s\n")
    if daemon in STAY:
        assert code != 0 and after == before
    else:
        assert code == 0 and after != before
    vms.check()
    return begin, end


def test_restart(several):
    """All daemons in seeded orders; then the way by which sanlock and wdmd can be restarted."""
    vms = Vms(several)
    host = vms.host
    with Watch(vms.other) as watch:
        truth = [(time.time(), {"active"})]
        for seed in range(SEED, SEED + ORDERS):
            for daemon in random.Random(seed).sample(DAEMONS, len(DAEMONS)):
                begin, end = restart(vms, daemon)
                if daemon == "serf":
                    truth += [(begin, {"active", "left"}), (end, {"active"})]
        wait_for(f"{vms.other.name} to see {host.name}", lambda: watch.said(host.uuid)[-1] == "active", 60)
    for uuid in vms.names:
        assert watch.said(uuid) == ["running"], watch.changes
    wrong = watch.wrong(host.uuid, truth)
    TIMES.append(f"{wrong:6.1f} s  for which {vms.other.name} did not show {host.name} as active, though serf was\n")
    assert wrong < WRONG, watch.changes

    for uuid in vms.names:
        assert host.virtx("shutdown", "vm", uuid).returncode == 0
    for uuid in vms.names:
        wait_runstate(host, uuid, "poweroff")
    before = {daemon: processes(host, daemon) for daemon in STAY}
    host.stop("virtx-lockspace")
    # Each has refused a restart above.
    host.run(["sanlock", "client", "shutdown", "-w", "1"])
    host.run(["systemctl", "kill", "wdmd"])
    wait_for("them to end", lambda: not any(processes(host, daemon) for daemon in STAY), 20)
    host.run(["systemctl", "restart", "wdmd", "sanlock"], timeout=120)
    host.start("virtx-lockspace")
    host.wait_ready()
    for daemon in STAY:
        assert host.alive(daemon) and not set(before[daemon]) & set(processes(host, daemon))
    for uuid in list(vms.names)[:1]:
        guest.boot(host, uuid)
        assert leases(host) == 3
