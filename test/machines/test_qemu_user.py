# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU runs as Debian's user for it, on NFS and confined by AppArmor: what it opens is open to it, nothing more than that
has to be, and where root is nobody to the server, virtxd says so."""

import json

import pytest
from conftest import TIMES
from lab import wait_for
from lab.vms import create, delete, disk, vmdef, wait_runstate
from test_boot import STOP, WELL, expect_ready, expect_words, exports
from test_smoke import leases, place
from vmlab import each, guest

USER = "libvirt-qemu"
CLOUD_INIT = {"cloud_init": [{"name": "ci-userdata", "value": "#cloud-config\n"}]}


def enforce(host):
    """AppArmor as Debian has it at boot: libvirt confines QEMU where it is confined itself."""
    host.start("apparmor", 180)
    host.restart("libvirtd")
    assert "<model>apparmor</model>" in host.virsh("capabilities", timeout=120).stdout
    host.wait_ready()


@pytest.fixture
def confined(lab):
    """The hosts that are ready, with AppArmor."""
    with lab.timed("load AppArmor's profiles, and start libvirtd anew"):
        each(enforce, lab.hosts)
    yield lab


def given(lab, *names):
    """Whose the files and folders of the storage are, and their modes."""
    return lab.storage.run(["stat", "-c", "%u %G %a", *(f"/srv/vms/{name}" for name in names)]).stdout.splitlines()


def full(lab, name):
    """A VM with all that QEMU opens for it on the storage, whose boot disk and folder were made by root, for root."""
    lab.hosts[0].shell(f"umask 027; mkdir /vms/ds/{name}; "
                       f"qemu-img convert -O qcow2 {guest.COUNTER} /vms/ds/{name}/os.qcow2")
    assert given(lab, f"ds/{name}/os.qcow2")[0].split()[2] != "660"
    return create(lab.hosts[0], vmdef(
        name, osdisk={"path": f"/vms/ds/{name}/os.qcow2", "man": 1}, disks=[disk(f"/vms/ds/{name}/sub/count.raw", size=1)],
        cpudef={"model": "host-passthrough", "nodes": 1, "sockets": 1, "cores": 1, "threads": 1},
        memory={"total": 192, "hp": False}))


def boot(lab, host, uuid, name):
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot", CLOUD_INIT, timeout=120)
    assert answer.status == 204, answer.text
    guest.wait_counting(lab, f"{name}/sub/count.raw", 300)
    check_confined(host, uuid)


def check_confined(host, uuid):
    """QEMU is not root, and its profile is enforced."""
    assert host.qemu_users() == {USER}
    pid = host.run(["pidof", "qemu-system-x86_64"]).stdout.strip()
    assert host.read(f"/proc/{pid}/attr/current").strip("\0\n") == f"libvirt-{uuid} (enforce)"


def move(lab, source, target, uuid, name):
    moved = source.virtx("migrate", "vm", uuid, "-h", target.uuid, "--live", "--wait", timeout=240)
    assert moved.returncode == 0, moved.stderr
    wait_for(f"{target.name} to have it", lambda: place(target, uuid) == target.uuid, 30, 0.2)
    guest.wait_counting(lab, f"{name}/sub/count.raw")
    assert source.qemu_users() == set()
    check_confined(target, uuid)


def shut_down(host, uuid):
    assert host.virtx("shutdown", "vm", uuid).returncode == 0
    wait_runstate(host, uuid, "poweroff", 120)


def check_files(lab, uuid, name, disks_of="0"):
    """They are root's (the disks may be another's) and QEMU's group's; leases and the registry are none of QEMU's."""
    expected = {f"ds/{name}": "0 {} 2770", f"ds/{name}/os.qcow2": f"{disks_of} {{}} 660", f"ds/{name}/sub": "0 {} 2770",
                f"ds/{name}/sub/count.raw": f"{disks_of} {{}} 660", f"ds/ci/{uuid}": "0 {} 2770",
                f"ds/ci/{uuid}/seed.iso": "0 {} 640"}
    assert dict(zip(expected, given(lab, *expected), strict=True)) == {
        path: what.format(USER) for path, what in expected.items()}
    others = lab.storage.run(["find", "/srv/vms/xml", "/srv/vms/lock", "-group", USER]).stdout
    assert others == "", others


def check_denials(lab):
    for host in lab.hosts:
        assert host.denials() == []


def test_files_and_apparmor(confined):
    """A VM with a CD of cloud-init's: boot, live migration there and back, shutdown, deletion; nothing of QEMU's is
    root's, and AppArmor has nothing to refuse. What it does refuse is seen."""
    lab = confined
    h1, h2 = lab.hosts
    uuid = full(lab, "user")
    with lab.timed("boot a VM with a CD"):
        boot(lab, h1, uuid, "user")
    check_files(lab, uuid, "user")
    with lab.timed("migrate it live"):
        move(lab, h1, h2, uuid, "user")
    check_files(lab, uuid, "user")
    move(lab, h2, h1, uuid, "user")
    for verb in ("pause", "resume"):
        assert h1.virtx(verb, "vm", uuid).returncode == 0
    guest.wait_counting(lab, "user/sub/count.raw")
    check_denials(lab)
    # The test would see it.
    refused = h1.virsh("qemu-monitor-command", uuid, json.dumps({"execute": "blockdev-add", "arguments": {
        "driver": "file", "node-name": "denied", "filename": "/etc/fstab", "read-only": True}}), check=False)
    assert "Permission denied" in refused.stdout + refused.stderr
    wait_for("the kernel to log it", h1.denials, 20)
    assert all(f'profile="libvirt-{uuid}"' in line and 'name="/etc/fstab"' in line for line in h1.denials())
    shut_down(h1, uuid)
    delete(h1, uuid)
    assert len(h1.denials()) == 1 and h2.denials() == []
    assert (leases(h1), leases(h2)) == (0, 0)
    assert lab.storage.run(["find", "/srv/vms/ds", "-type", "f", "!", "-name", ".virtx-storage"]).stdout == ""


def test_ownership_by_libvirt(confined):
    """On h2 libvirt gives the disks to QEMU's user, which a migration to h1 leaves so: a VM goes there, and comes back."""
    lab = confined
    h1, h2 = lab.hosts
    h2.shell("sed -i 's/^dynamic_ownership.*/dynamic_ownership = 1/' /etc/libvirt/qemu.conf; systemctl restart libvirtd")
    h2.wait_ready()
    uuid = full(lab, "moves")
    boot(lab, h1, uuid, "moves")
    move(lab, h1, h2, uuid, "moves")
    TIMES.append(f"on h2: {given(lab, 'ds/moves/os.qcow2', f'ds/ci/{uuid}/seed.iso')}\n")
    shut_down(h2, uuid)
    boot(lab, h2, uuid, "moves")
    move(lab, h2, h1, uuid, "moves")
    check_files(lab, uuid, "moves", h2.run(["id", "-u", USER]).stdout.strip())
    check_denials(lab)


def test_root_is_nobody(running):
    """The server takes root for nobody while a VM runs: virtxd says so, the VM, whose QEMU is not root, goes on."""
    lab = running
    h2 = lab.hosts[1]
    uuid = h2.api("GET", "/vms").json()["items"][0]["uuid"]
    exports(lab, "rw,root_squash", "rw,root_squash")
    each(lambda host: expect_words(lab, host, "Permission denied", "no_root_squash"), lab.hosts)
    guest.wait_counting(lab, "guest")
    assert h2.qemu_users() == {USER}
    assert leases(h2) == 3
    shut_down(h2, uuid)
    refused = h2.virtx("boot", "vm", uuid)
    assert refused.returncode in (1, 5, 7) and "no_root_squash" in refused.stderr, refused.stderr
    exports(lab, WELL, WELL)
    each(expect_ready, lab.hosts)
    guest.boot(h2, uuid)
    guest.wait_counting(lab, "guest")


def test_new_storage_where_root_is_nobody(lab):
    """An export as it is by default: who wants to make a storage there is told what is wrong with it."""
    each(lambda host: host.shell(STOP, timeout=180), lab.hosts)
    lab.storage.shell("mv /srv/vms /srv/old; mkdir /srv/vms")
    exports(lab, "rw", "rw")
    for host in lab.hosts:
        host.shell("mount /vms; systemctl start wdmd; systemctl start sanlock libvirtd serf virtxd", timeout=180)
    h1 = lab.hosts[0]
    wait_for("virtxd to serve", lambda: h1.readyz()[0], 60, 0.5)
    made = h1.virtx("storage", "init")
    TIMES.append(f"storage init: {made.stderr}readyz: {h1.readyz()}\n")
    assert made.returncode in (1, 5, 7) and "no_root_squash" in made.stderr, made.stderr
    assert lab.storage.run(["ls", "-A", "/srv/vms"]).stdout == ""
    exports(lab, WELL, WELL)
    h1.virtx("storage", "init", check=True)
    each(expect_ready, lab.hosts)
