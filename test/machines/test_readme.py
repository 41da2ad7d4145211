# SPDX-License-Identifier: GPL-2.0-or-later
"""The README and the manual as somebody follows them: of bare machines, by the commands as they stand there and nothing
else, comes a cluster of two hosts with NFS, a watchdog, a VM and its live migration.

What is the lab's is only how the program gets there, as the machines reach no network: it is built here, and its files
are put on the hosts. The packages are on the machines before, so that apt finds them installed."""

import json
import os
import re
import shlex

import pytest
from conftest import ROOT, TIMES
from lab import LabError, readme, wait_for
from vmlab import each, guest, net, setup

# What the lab's machines do not start at boot, and Debian's do: it is there after the reboot that the README asks for.
AS_DEBIAN = ("apparmor", "networking", "ssh")

# The medium that step 9 asks for: the lab's guest, for a BIOS (see test_kvm.py for why not UEFI).
COUNT = "web1/data.raw"  # where its guest counts
MEDIUM = """\
mkdir /vms/ds/iso
cp /root/guest.iso /vms/ds/iso/install.iso
chmod 644 /vms/ds/iso/install.iso
"""


# What a command shows in the end, and how many seconds that may take.
SHOW = {
    "serf members": (r"\balive\b.*\n.*\balive\b", 60),
    "curl --unix-socket /run/virtx/virtxd.sock http://localhost/readyz": ('"ready":true', 240),
    "virtx list host": (r"\bactive\b.*\bon\b.*\n.*\bactive\b.*\bon\b", 60),
}


class Reader:
    """Somebody who follows the README on two hosts and an NFS server."""

    def __init__(self, lab):
        self.lab = lab
        self.vm = None  # the UUID of the VM that was created
        self.was = None  # the host that it was on before the last command
        self.emptied = None  # the host that goes into maintenance
        self.typed = self.written = 0

    # What is the reader's own

    def own(self, host):
        """What the README has its reader fill in, for a host, or for the storage as the first host has it."""
        h1, h2 = self.lab.hosts
        return {"192.0.2.1": host.addr, "192.0.2.2": h1.addr if host is h2 else h2.addr, "192.0.2.254": net.address(254),
                "192.0.2.0/24": f"{net.address(0, 'storage')}/24", "nfs.example.net": "nfs",
                "host_id = 1": f"host_id = {host.n}", "eno1": "eth0", "UUID": self.vm, "HOST": self.emptied}

    def fill_in(self, text, machine):
        own = self.own(machine)
        assert set(own) == set(readme.own())
        words = "|".join(map(re.escape, sorted(own, key=len, reverse=True)))
        return re.sub(rf"(?<![\w.])({words})(?!\w)", lambda found: own[found.group()], text)

    def place(self):
        """The UUID of the host that the VM is on, as soon as the first host knows: it may have begun anew."""
        h1 = self.lab.hosts[0]
        shown = wait_for("the VM to be known", lambda: (found := h1.virtx("get", "runstate", "vm", self.vm, "-o", "json"))
                         .returncode == 0 and found.stdout, 60, 0.5)
        return json.loads(shown)["host"]

    # What is done where

    def where(self, block):
        """The machines that a block is for, by what the README says above it."""
        if block.step.startswith("On the NFS server"):
            return [self.lab.storage]
        if re.search(r"\bon one of (the hosts|them)\b", block.said, re.I):
            return self.lab.hosts[:1]
        if block.said.startswith("Where the VM runs"):
            return [host for host in self.lab.hosts if self.place() == host.uuid]
        return self.lab.hosts

    def follow(self, block):
        machines = self.where(block)
        if block.file:
            for machine in machines:
                machine.shell(f"cat >> {shlex.quote(block.file)}", input=self.fill_in(block.text, machine))
            self.written += 1
            return
        for command in commands(block.text):
            self.was = self.vm and self.place()
            with self.lab.timed(command.splitlines()[0]):
                shown = (self.reboot(command) if command == "systemctl reboot" else
                         [self.run(command, machine) for machine in machines])
            self.look(command, shown)
            self.typed += 1

    def type(self, command, machine):
        """One command, as it stands there but for what is the reader's own."""
        return machine.run(["bash", "-euc", f"cd\n{self.fill_in(command, machine)}"], timeout=180).stdout

    def reboot(self, command):
        """Of all hosts at once."""
        before = {host: host.boot_id() for host in self.lab.hosts}
        for host in self.lab.hosts:
            self.type(command, host)
        for host in self.lab.hosts:
            host.wait_boot(before[host], 300)
        return [host.wait_system() for host in self.lab.hosts]

    def run(self, command, machine):
        """A command, again until it shows what the README says that it comes to show; what it shows."""
        if command == "virtx maintain host HOST --wait":
            self.emptied = self.place()
        if command in SHOW:
            return self.until(command, machine, *SHOW[command])
        return self.type(command, machine)

    def until(self, command, machine, pattern, timeout):
        said = None

        def shows():
            nonlocal said
            try:
                said = self.type(command, machine)
            except LabError as error:
                said = str(error)
            return re.search(pattern, said)

        try:
            wait_for(f"'{command}' to show {pattern} on {machine.name}", shows, timeout, 1)
        except LabError as error:
            raise AssertionError(f"{error}; it shows: {said}") from None
        return said

    def look(self, command, shown):
        """What a reader sees then, and what else he does: his own VM, and his guest."""
        if command == "virtx storage init":
            assert re.fullmatch(r"[0-9a-f-]{36}\n", shown[0]), shown
        elif command.startswith("cp /usr/share/doc/virtx/examples/"):
            edit(self.lab.hosts[0], "/root/web1.json")
        elif command.startswith("virtx create vm"):
            self.vm = shown[0].strip()
        elif command.startswith("virtx boot vm"):
            guest.wait_counting(self.lab, COUNT, 300)
        elif command == "sanlock client status":
            assert len(re.findall(r"^r ", shown[0], re.M)) == 2, shown
        elif command.startswith("virtx migrate") or command.startswith("virtx maintain") and "--wait" in command:
            assert self.place() != self.was, shown
            guest.wait_counting(self.lab, COUNT)


def commands(text):
    """The commands of a block, each with the lines that it goes on in."""
    return re.findall(r"(?:.*\\\n)*.+", text)


def edit(host, path):
    """The reader's own VM, by what he may edit: 'name, cores, memory, disks, firmware', for hosts as small as these."""
    host.shell(MEDIUM)
    vm = json.loads(host.read(path))
    vm["cpudef"]["cores"] = 1
    vm["memory"]["total"] = 256
    vm["firmware"] = 0
    for disk in (vm["osdisk"], vm["disks"][0]):
        disk["size"] = 64
    host.write(path, json.dumps(vm))


def build_and_install(lab):
    """The first four of its commands are done here, by meson with a DESTDIR; the last is typed on the hosts."""
    *here, last = commands(readme.block("meson setup", "Build and install"))
    assert [command.split()[:2] for command in here] == [
        ["test/packages", "build"], ["meson", "setup"], ["ninja", "-C"], ["meson", "install"]]
    assert "--prefix=/usr --sysconfdir=/etc" in here[1]
    what = setup.Install(lab.build_dir)
    for host in lab.hosts:
        setup.install(host, what)
        host.shell(last)


def has_own_uuids(lab):
    """Whether what step 4 has a reader look at tells him that he need not give his host a UUID."""
    look = re.search(r"`(virsh capabilities \| [^`]*)`", readme.section("A first cluster by hand")).group(1)
    seen = {host.name: [host.shell(look).stdout, host.shell(f"systemctl restart libvirtd; {look}").stdout] for host in lab.hosts}
    return all(first == second for first, second in seen.values()) and seen["h1"] != seen["h2"]


def manual(page, section="EXAMPLES"):
    """What stands apart from the text in a section of a manual page."""
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        text = re.search(rf"^\.Sh {section}\n(.*?)(?=^\.Sh)", file.read(), re.S | re.M).group(1)
    found = re.findall(r"^\.Bd.*?\n(.*?)^\.Ed|^\.Dl (.*?\n)", text, re.S | re.M)
    return [re.sub(r"\\(.)", lambda char: {"-": "-", "e": "\\", "&": ""}[char.group(1)], "".join(pair)) for pair in found]


@pytest.fixture(scope="module")
def cluster(machines):
    """What the README makes of bare machines, by its commands alone."""
    lab = machines
    lab.restore("bare")
    each(lambda host: host.run(["systemctl", "enable", "-q", *AS_DEBIAN], timeout=180), lab.hosts)
    reader = Reader(lab)
    for block in readme.blocks():
        if block.text.startswith('echo "host_uuid'):
            assert has_own_uuids(lab)  # then it is not for these hosts
            continue
        reader.follow(block)
        if block.text.startswith("apt install libvirt"):
            build_and_install(lab)
    TIMES.append(f"{reader.typed} commands and {reader.written} pieces of files of the README, as written\n")
    yield reader
    lab.restore("ready")  # who takes the machines as they are expects that


def test_cluster(cluster):
    """What the README promises is so: a watchdog, no root's QEMU, a bridge, nothing that has failed."""
    lab = cluster.lab
    for host in lab.hosts:
        assert host.wait_system() == "running", host.run(["systemctl", "--failed"]).stdout
        assert host.run(["id", "-g", "sanlock"]).stdout.strip() == "179"
        assert '"watchdog":""' in host.shell(
            "curl -s --unix-socket /run/virtx/virtxd.sock http://localhost/readyz").stdout
        assert all(map(host.alive, ("wdmd", "sanlock", "virtx-lockspace", "libvirt-guests", "virtxd")))
        watchdog = "/sys/class/watchdog/watchdog0"
        assert (host.read(f"{watchdog}/state"), host.read(f"{watchdog}/identity")) == ("active\n", "Software Watchdog\n")
        assert host.denials() == []
    assert set().union(*(host.qemu_users() for host in lab.hosts)) == {"libvirt-qemu"}
    on = next(host for host in lab.hosts if cluster.place() == host.uuid)
    assert on.run(["cat", f"/proc/{on.run(['pidof', 'qemu-system-x86_64']).stdout.strip()}/attr/current"]).stdout == \
        f"libvirt-{cluster.vm} (enforce)\n"
    assert "vnet" in on.run(["ls", "/sys/class/net/br0/brif"]).stdout


def test_manual(cluster):
    """The examples of the manual pages, on that cluster."""
    h1 = cluster.lab.hosts[0]
    [readyz] = manual("virtxd/virtxd.8")
    assert '"ready":true' in h1.shell(readyz).stdout
    create, shut, handler = manual("virtx/virtx.1")

    # An agent of its own, as the one of virtxd goes on as it is.
    h1.shell("cat > /root/handler", input=handler)
    h1.shell(f"systemd-run -q --unit=handler sh -c \"$(cat /root/handler) -node=handler -bind={h1.addr}:7947 "
             f"-rpc-addr=127.0.0.1:7374 -join={h1.addr}:7946\"")  # else its own port
    wait_for("the agent to join", lambda: h1.serf("members").stdout.count("alive") == 3, 60, 0.5)

    vm = json.loads(h1.read("/root/web1.json"))
    vm["name"] = "webtest"
    vm["osdisk"]["path"] = "/vms/ds/web/os.qcow2"
    vm["disks"] = []
    h1.write("/root/web.json", json.dumps(vm))
    shown = h1.shell(f"cd\n{create}").stdout
    uuid = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", shown).group()
    assert "webtest" in shown

    [owner] = manual("lvbcheck/virtx-check-lvb.8")
    named = re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}", owner).group()
    h1.shell(owner.replace(named, uuid))
    assert h1.run(["bash", "-euc", owner], check=False).returncode == 1

    wait_for("the VM to run", lambda: runs(h1, uuid), 60, 0.5)
    h1.shell(shut)
    wait_for("serf's handler to log", lambda: uuid in h1.run(["journalctl", "-q", "-o", "cat", "-t", "virtx"]).stdout, 30, 0.5)
    # It has nothing that obeys the power button.
    h1.virtx("shutdown", "vm", "-ff", uuid, check=True)
    h1.virtx("delete", "vm", "-s", uuid, check=True)


def runs(host, uuid):
    items = json.loads(host.virtx("list", "vm", "-s", "running", "-o", "json", check=True).stdout)["items"]
    return uuid in [item["uuid"] for item in items]
