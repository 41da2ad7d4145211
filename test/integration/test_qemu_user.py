# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU is not root: what it opens is open to it, also where it was made for a QEMU that was."""

import os
import pwd
import re

import pytest
from conftest import BUILD, PREFIX, create, disk, vmdef, wait_joined, wait_ready, wait_runstate
from lab import Lab
from lab.net import pids
from test_migrate import LIVE, check_place, migrate, operation

QEMU = pwd.getpwnam("libvirt-qemu")
GROUP = QEMU.pw_uid  # Debian gives the user and the group one number
CLOUD_INIT = {"cloud_init": [{"name": "ci-userdata", "value": "#cloud-config\n"}]}


@pytest.fixture(scope="module")
def lab2():
    """Two hosts."""
    with Lab(2, build_dir=BUILD, name=f"{PREFIX}q") as lab:
        wait_joined(lab)
        yield lab


def boot(host, uuid, body=None):
    return host.api("POST", f"/vms/{uuid}/runstate/boot", body)


def stop(host, uuid):
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_runstate(host, uuid, "poweroff")


def uids(host):
    """Whose the processes of QEMU are on the host: the real, effective, saved and file system's user of each."""
    found = set()
    for pid in pids(host.netns):
        with open(f"/proc/{pid}/comm", encoding="utf-8") as comm, open(f"/proc/{pid}/status", encoding="utf-8") as status:
            if comm.read().startswith("qemu-system"):
                found.update(re.search(r"^Uid:\s+(.*)$", status.read(), re.M).group(1).split())
    return found


def given(path):
    status = os.stat(path)
    return status.st_uid, status.st_gid, f"{status.st_mode & 0o7777:o}"


def make_roots(lab, *names):
    """As virtxd makes it for a QEMU of root's: files 0640, folders 0750."""
    for name in names:
        path = f"{lab.vms}/{name}"
        os.chown(path, 0, 0)
        os.chmod(path, 0o750 if os.path.isdir(path) else 0o640)


def full(name):
    """A VM with all that QEMU opens for it on the shared storage."""
    return vmdef(name, firmware=1, memory={"total": 160, "hp": False},
                 osdisk=disk(f"/vms/ds/{name}/os.qcow2"), disks=[disk(f"/vms/ds/{name}/sub/data.raw", bus=1)])


def test_no_qemu_is_root(lab2):
    one = lab2.hosts[0]
    uuid = create(one, full("user"))
    assert boot(one, uuid, CLOUD_INIT).status == 204
    assert uids(one) == {str(QEMU.pw_uid)}
    made = {name: given(f"{lab2.vms}/{name}") for name in (
        "ds/user", "ds/user/os.qcow2", "ds/user/sub", "ds/user/sub/data.raw", f"ds/ci/{uuid}", f"ds/ci/{uuid}/seed.iso",
        "nvram")}
    assert made == {
        "ds/user": (0, GROUP, "2770"), "ds/user/os.qcow2": (0, GROUP, "660"),
        "ds/user/sub": (0, GROUP, "2770"), "ds/user/sub/data.raw": (0, GROUP, "660"),
        f"ds/ci/{uuid}": (0, GROUP, "2770"), f"ds/ci/{uuid}/seed.iso": (0, GROUP, "640"),
        "nvram": (0, GROUP, "2770"),
    }
    # Leases are none of QEMU's.
    assert all(given(f"{lab2.vms}/lock/{name}")[1] != GROUP for name in os.listdir(f"{lab2.vms}/lock"))
    stop(one, uuid)


def test_files_of_a_root_qemu(lab2):
    """A VM whose files were made when QEMU was root boots without anybody's help."""
    one = lab2.hosts[0]
    uuid = create(one, full("old"))
    assert boot(one, uuid).status == 204
    stop(one, uuid)
    variables = f"nvram/{uuid}_VARS.fd"
    make_roots(lab2, "ds", "ds/old", "ds/old/os.qcow2", "ds/old/sub", "ds/old/sub/data.raw", "nvram", variables)
    os.chmod(f"{lab2.vms}/{variables}", 0o600)
    assert boot(one, uuid, CLOUD_INIT).status == 204
    assert given(f"{lab2.vms}/ds/old/sub") == (0, GROUP, "2770")
    assert given(f"{lab2.vms}/ds/old/sub/data.raw") == (0, GROUP, "660")
    assert given(f"{lab2.vms}/{variables}") == (0, GROUP, "660")
    stop(one, uuid)


def test_closed_to_qemu(lab2):
    """What is not the VM's own is opened by nobody; the answer says what is closed, and to whom."""
    one = lab2.hosts[0]
    folder = f"{lab2.vms}/ds/mine"
    os.mkdir(folder)
    os.chown(folder, 0, 0)
    os.chmod(folder, 0o700)
    with open(f"{folder}/a.iso", "wb") as file:
        file.truncate(1 << 20)
    os.chmod(f"{folder}/a.iso", 0o600)
    cd = disk("/vms/ds/mine/a.iso", device=1, bus=1, man=0, prov=0, size=0)
    uuid = create(one, vmdef("closed", disks=[cd]))

    def refused():
        answer = boot(one, uuid)
        assert answer.status == 422, answer.text
        # First why, then libvirt's own words.
        assert answer.json()["detail"].startswith(f"QEMU runs as 'libvirt-qemu' ({QEMU.pw_uid}:{GROUP}), and may not "), answer.text
        assert "Permission denied" in answer.text
        return answer.json()["detail"]

    assert "enter '/vms/ds/mine' (mode 0700 of 0:0)" in refused()
    one.run(["sh", "-c", re.search("`(.*?)` opens it", refused()).group(1)])
    assert "read '/vms/ds/mine/a.iso' (mode 0600 of 0:0)" in refused()
    assert given(f"{folder}/a.iso") == (0, 0, "600")
    one.run(["sh", "-c", re.search("`(.*?)` opens it", refused()).group(1)])
    answer = boot(one, uuid)
    assert answer.status == 204, answer.text
    stop(one, uuid)


def test_from_a_host_with_root(lab2):
    """Hosts go over one by one: a VM that runs as root's moves live to where it is not, and back."""
    one, two = lab2.hosts
    path = f"{one.state}/etc-libvirt/qemu.conf"
    with open(path, encoding="utf-8") as file:
        kept = file.read()
    uuid = create(two, full("goes"))
    make_roots(lab2, "ds/goes", "ds/goes/os.qcow2", "ds/goes/sub", "ds/goes/sub/data.raw")
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(kept + 'user = "root"\ngroup = "root"\n')
        one.restart("libvirtd")
        wait_ready(one)
        other = create(one, full("goes2"))
        assert given(f"{lab2.vms}/ds/goes2/os.qcow2") == (0, GROUP, "660")
        make_roots(lab2, "ds/goes2", "ds/goes2/os.qcow2", "ds/goes2/sub", "ds/goes2/sub/data.raw")
        assert boot(one, other, CLOUD_INIT).status == 204
        assert uids(one) == {"0"}
        make_roots(lab2, f"nvram/{other}_VARS.fd", f"ds/ci/{other}/seed.iso")
        done = operation(one, migrate(one, other, two, LIVE))
        assert done["state"] == "completed", done
        check_place(lab2, other, two, "running")
        assert uids(two) == {str(QEMU.pw_uid)}
        done = operation(two, migrate(two, other, one, LIVE))
        assert done["state"] == "completed", done
        stop(one, other)
        assert boot(two, uuid).status == 204
        stop(two, uuid)
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(kept)
        one.restart("libvirtd")
        wait_ready(one)
