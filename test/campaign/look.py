# SPDX-License-Identifier: GPL-2.0-or-later
"""What there is on hosts, past virtxd: processes, libvirt's definitions, leases, and what guests wrote."""

import os
import re

from lab.host import process_stat

COUNT_SECTOR = 16  # bytes that are read of it


class Qemu:
    """A process of QEMU that has a VM."""

    def __init__(self, host, pid, uuid, incoming):
        self.host, self.pid, self.uuid, self.incoming = host, pid, uuid, incoming

    def __repr__(self):
        return f"{self.host.name}:{self.pid}{' incoming' if self.incoming else ''}"

    def cpu_time(self):
        """How long its vCPUs have run, in ns or ticks; None if it ended. They do not while the VM stands still."""
        total = 0
        try:
            for task in os.listdir(f"/proc/{self.pid}/task"):
                with open(f"/proc/{self.pid}/task/{task}/comm", encoding="ascii") as file:
                    if not file.read().startswith("CPU "):
                        continue
                try:
                    with open(f"/proc/{self.pid}/task/{task}/schedstat", encoding="ascii") as file:
                        total += int(file.read().split()[0])
                except FileNotFoundError:
                    with open(f"/proc/{self.pid}/task/{task}/status", encoding="ascii") as file:
                        total += sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
        except (FileNotFoundError, ProcessLookupError):
            return None
        return total


def networks(hosts):
    """{the inode of a network namespace: its host}."""
    return {os.stat(f"/run/netns/{host.netns}").st_ino: host for host in hosts}


def qemus(spaces):
    """All processes of QEMU in these network namespaces that have not ended."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                line = file.read().decode(errors="replace").split("\0")
            if "qemu-system" not in line[0] or "-uuid" not in line:
                continue
            host = spaces.get(os.stat(f"/proc/{name}/ns/net").st_ino)
        except (FileNotFoundError, ProcessLookupError):
            continue
        stat = process_stat(name)
        if host and stat and stat[0] not in "ZX":
            found.append(Qemu(host, int(name), line[line.index("-uuid") + 1], "-incoming" in line))
    return found


def leases(host):
    """{a VM's uuid: the pid that holds its lease}, as the host's sanlock tells."""
    found, pid = {}, None
    for line in host.run(["sanlock", "client", "status"]).stdout.splitlines():
        kind, _, rest = line.partition(" ")
        match = re.search(r":vm-([0-9a-f-]{36}):", rest)
        if kind == "p":
            pid = int(rest.split()[0])
        elif kind == "r" and match:
            owner = re.search(r" p (\d+)", rest)
            found[match.group(1)] = int(owner.group(1)) if owner else pid
    return found


def defined(host):
    """{uuid: libvirt's state of it}."""
    found = {}
    for uuid in host.virsh("list", "--all", "--uuid").stdout.split():
        found[uuid] = host.virsh("domstate", uuid, check=False).stdout.strip()
    return found


def registered(lab):
    """{uuid: the names of the hosts that have its file}, and the journals that are left."""
    found, journals = {}, []
    names = {host.uuid: host.name for host in lab.hosts}
    for folder in os.listdir(f"{lab.vms}/xml"):
        if not os.path.isdir(f"{lab.vms}/xml/{folder}"):
            continue
        for name in os.listdir(f"{lab.vms}/xml/{folder}"):
            if re.fullmatch(r"[0-9a-f-]{36}\.xml", name):
                found.setdefault(name[:36], []).append(names.get(folder, folder))
            elif name.endswith(".journal"):
                journals.append(f"{names.get(folder, folder)}/{name}")
    return found, journals


def count(lab, image):
    """The seconds that a guest has counted on its disk since it was started; None before it did, or without the disk."""
    try:
        with open(f"{lab.vms}/ds/{image}", "rb") as file:
            text = file.read(COUNT_SECTOR).split(b"\n")[0].strip(b"\0")
        return int(text) if text.isdigit() else None
    except FileNotFoundError:
        return None


def process(pid):
    """Of a process: how many children and descriptors it has, and its memory in KiB."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        children = len(file.read().split())
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        memory = next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
    return {"children": children, "descriptors": len(os.listdir(f"/proc/{pid}/fd")), "kib": memory}
