# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of disks share."""

import contextlib
import hashlib
import os
import shutil
import subprocess

import pytest
from conftest import know_wwid, loop_lun, vm_told

DEVICES, BUSES = ("disk", "cdrom", "lun"), ("virtio-blk", "virtio-scsi", "sata", "scsi")
MODES, PROVISIONINGS = ("unmanaged", "managed"), ("none", "thin", "thick")
SIZE = 4  # MiB


def update(host, uuid, definition, storage=True):
    return host.api("PUT", f"/vms/{uuid}", {"vmdef": definition, "deletestorage": storage})


def definition_of(host, uuid):
    return vm_told(host, uuid)["def"]


def resource(path):
    """The name of its lease."""
    if path.startswith("/dev/"):
        return os.path.basename(path).removeprefix("scsi-")
    return hashlib.md5(path.removeprefix("/vms/ds/").encode()).hexdigest()


@contextlib.contextmanager
def hidden(*paths):
    """They are gone meanwhile."""
    away = {path: f"{os.path.dirname(path)}/.hidden-{os.path.basename(path)}" for path in paths}
    for path, place in away.items():
        os.rename(path, place)
    try:
        yield
    finally:
        for path, place in away.items():
            os.rename(place, path)


@pytest.fixture(autouse=True)
def open_to_qemu():
    """QEMU is not root: what a test itself puts on the storage is open to it."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def table(lab1):
    yield
    shutil.rmtree(f"{lab1.vms}/ds/table", ignore_errors=True)


@pytest.fixture
def lun(lab1, host, tmp_path):
    """A block device under a name that only this test has; its path, and the device. udev knows its WWID."""
    with loop_lun(tmp_path, SIZE) as (link, device):
        know_wwid(host, device, f"virtxtest{os.getpid()}")
        yield link, device


def signature(device):
    return subprocess.run(["wipefs", "-n", device], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def make_signature(device):
    subprocess.run(["mkfs.ext4", "-q", "-F", device], check=True)
    assert "ext4" in signature(device)


def nothing_left(lab, host):
    assert os.listdir(f"{lab.vms}/lock") == ["__VIRTX__DISKS__"]
    assert not [name for name in os.listdir(f"{lab.vms}/xml/{host.uuid}") if name not in ("lockid", "seen")]
    assert not [name for _, _, names in os.walk(f"{lab.vms}/ds") for name in names
                if name.endswith(".new")]
    assert host.virsh("list", "--all", "--uuid").stdout.split() == []
