# SPDX-License-Identifier: GPL-2.0-or-later
"""Labs that the tests share, and what most tests do with a VM."""

import contextlib
import glob
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.dirname(HERE))

from lab import Lab, wait_for  # noqa: E402
from lab.vms import (RUNSTATES, create, delete, disk, net, runstate, vmdef, wait_joined,  # noqa: E402, F401
                     wait_ready, wait_runstate)

# Of the labs' names: two runs at once need two, and so do the lanes of one.
PREFIX = os.environ.get("VIRTX_LAB_PREFIX", "it") + os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")

BUILD = os.path.abspath(os.environ.get("VIRTX_BUILD", os.path.join(ROOT, "build")))


BY_ID = "/dev/disk/by-id"


def know_wwid(host, device, serial, *others):
    """What udev of the host would write down of a SCSI disk, with other names of it."""
    number = os.stat(device).st_rdev
    data = pathlib.Path(host.path(f"/run/udev/data/b{os.major(number)}:{os.minor(number)}"))
    data.parent.mkdir(parents=True, exist_ok=True)
    links = "".join(f"S:disk/by-id/{name}\n" for name in (f"scsi-{serial}", *others))
    data.write_text(f"{links}E:ID_BUS=scsi\nE:ID_SERIAL={serial}\n")


@contextlib.contextmanager
def loop_lun(folder, size):
    """A block device of so many MiB, which all hosts see under the name of a LUN; that path, and the device."""
    file = folder / "lun"
    with open(file, "wb") as backing:
        backing.truncate(size << 20)
    link = f"{BY_ID}/scsi-virtxtest{os.getpid()}"
    # It stays: another lab may be just about to use it.
    os.makedirs(BY_ID, exist_ok=True)
    device = subprocess.run(["losetup", "-f", "--show", file], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    mode = os.stat(device).st_mode & 0o7777
    os.chmod(device, 0o666)
    try:
        os.symlink(device, link)
        yield link, device
    finally:
        if os.path.islink(link):
            os.unlink(link)
        os.chmod(device, mode)
        subprocess.run(["losetup", "-d", device], check=True)


def image_names(lab):
    """What is in the folder of the images beside the storage's marker."""
    return sorted(name for name in os.listdir(f"{lab.vms}/ds") if name != ".virtx-storage")


@contextlib.contextmanager
def bridge(host, name):
    """The host has this bridge meanwhile."""
    host.run(["ip", "link", "add", name, "type", "bridge"])
    try:
        yield
    finally:
        host.run(["ip", "link", "del", name])


@contextlib.contextmanager
def network(host, name):
    """The host has this network, on a bridge of that name, meanwhile."""
    host.run(["tee", f"/run/{name}.xml"], input=f"<network><name>{name}</name><forward mode='bridge'/>"
             f"<bridge name='{name}'/></network>")
    host.virsh("net-define", f"/run/{name}.xml")
    host.virsh("net-start", name)
    try:
        yield
    finally:
        host.virsh("net-destroy", name)
        host.virsh("net-undefine", name)


def clear(host):
    """Delete the host's VMs with their storage, whatever a failed test has left them in the middle of."""
    def gone(uuid):
        host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2})
        answer = host.api("DELETE", f"/vms/{uuid}", {"deletestorage": True})
        print(f"DELETE /vms/{uuid}: {answer.status} {answer.text}")
        return answer.status in (204, 404)

    listed = wait_for("a list of the VMs", lambda: (answer := host.api("GET", f"/vms?host={host.uuid}")).status == 200 and
                      answer, 60)
    for item in listed.json()["items"]:
        wait_for(f"VM {item['uuid']} to be deleted", lambda: gone(item["uuid"]), 60)
    # What a delete could not do at once is tried again.
    registry = f"{host.lab.vms}/xml/{host.uuid}"
    wait_for("the end of all deletes", lambda: os.path.isdir(registry) and
             not [name for name in os.listdir(registry) if name.endswith(".journal")], 60)


def vm_told(host, uuid):
    """What a host tells of a VM; one that has just started, or just got it, may still read the sizes of its disks."""
    answer = wait_for("the VM to be told in full", lambda: (answer := host.api("GET", f"/vms/{uuid}")).status != 503 and
                      answer, 30)
    assert answer.status == 200, answer.text
    return answer.json()


def oplog(host, uuid):
    """The operation log by operation."""
    return {item["op"]: item for item in vm_told(host, uuid)["stats"]["oplog"]["items"]}


def save(host, uuid, path=None):
    """Boot the VM and save its memory, to that file or where libvirt keeps it; QEMU refuses that while there is the
    agent's channel."""
    xml = host.virsh("dumpxml", "--inactive", "--security-info", uuid).stdout
    host.run(["tee", "/run/save.xml"],
             input=re.sub(r"<channel type='qemu-vdagent'>.*?</channel>", "", xml, flags=re.S))
    host.virsh("define", "/run/save.xml")
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 204, answer.text
    host.virsh(*(("save", uuid, path) if path else ("managedsave", uuid)))
    wait_runstate(host, uuid, "poweroff")


@pytest.fixture(scope="session")
def lab1():
    """One host."""
    with Lab(1, build_dir=BUILD, name=f"{PREFIX}1") as lab:
        wait_ready(lab.hosts[0])
        yield lab


@pytest.fixture(scope="session")
def lab3():
    """Three hosts."""
    with Lab(3, build_dir=BUILD, name=f"{PREFIX}3") as lab:
        for host in lab.hosts:
            wait_ready(host)
        yield lab


def on_storage(lab):
    """What VMs have on the lab's storage: images, leases, which are folders, and variables."""
    files = {path for path in glob.glob(f"{lab.vms}/ds/**", recursive=True) if os.path.isfile(path)}
    return files.union(*(glob.glob(f"{lab.vms}/{folder}/[!_]*") for folder in ("lock", "nvram")))


@pytest.fixture
def host(lab1):
    """The one host, with its daemons alive as the last test found them; what a test leaves on the storage is its error,
    and no other test's."""
    before = on_storage(lab1)
    yield lab1.hosts[0]
    if lab1.hosts[0].alive("virtxd"):
        clear(lab1.hosts[0])
        left = on_storage(lab1) - before
        for path in left:
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        assert not left


def guest_images(word):
    """Path of the raw image of the guests that has this word in its name."""
    paths = subprocess.run([os.path.join(ROOT, "test", "guest", "build")], check=True, text=True,
                           stdout=subprocess.PIPE).stdout.split()
    return next(path for path in paths if word in path)


@pytest.fixture(scope="session")
def guest_image():
    """Path of a raw image that boots by BIOS."""
    return guest_images("bios")


@pytest.fixture(scope="session")
def counter_image():
    """The same of one that counts as soon as it is on, and obeys the power button."""
    return guest_images("counter")


def memory_left(hosts):
    """What each of the hosts has for VMs at least, in MiB."""
    return min(host.api("GET", f"/hosts/{host.uuid}").json()["resources"]["memory"]["availablevms"] for host in hosts)


@pytest.fixture
def hosts(lab3):
    """Three hosts that know each other, without VMs."""
    for host in lab3.hosts:
        wait_for("all hosts", lambda: len([item for item in host.api(
            "GET", "/hosts?cstate=active").json()["items"] if item["fields"]["memoryavailable"] > 0]) == 3, 60)
        wait_for("no VMs", lambda: host.api("GET", "/vms").json()["items"] == [], 30)
    yield lab3.hosts
    for host in lab3.hosts:
        if not host.alive("virtxd"):
            host.start("virtxd")
            wait_ready(host)
        clear(host)
