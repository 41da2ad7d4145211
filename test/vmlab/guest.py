# SPDX-License-Identifier: GPL-2.0-or-later
"""A VM on the hosts that really boots, under their own KVM, and counts its seconds on a disk. There are two of them, which
test/guest/build makes: COUNTER, which a few instructions are all of, and LINUX, where a test is about what only a system
does; it takes a minute to boot."""

from lab.util import wait_for
from lab.vms import create, disk, runstate, vmdef

COUNTER = "/root/guest-counter.raw"
LINUX = "/root/guest-bios.raw"


def definition(lab, name, image=COUNTER, **fields):
    """A VM of that name, whose boot disk is put on the storage by this."""
    boot = f"/vms/ds/{name}.qcow2"
    lab.hosts[0].run(["qemu-img", "convert", "-O", "qcow2", image, boot])
    model = "host-passthrough" if lab.hosts[0].run(["test", "-e", "/dev/kvm"], check=False).returncode == 0 else "maximum"
    cpu = {"model": model, "nodes": 1, "sockets": 1, "cores": 1, "threads": 1}
    return vmdef(name, **{"osdisk": {"path": boot, "man": 1}, "disks": [disk(f"/vms/ds/{name}-count.raw", size=1)], "cpudef": cpu,
                          "memory": {"total": 128, "hp": False}, **fields})


def count(lab, name):
    """The seconds that the guest has counted so far, in the image of that name or its own; 0 before it is up."""
    image = name if name.endswith(".raw") else f"{name}-count.raw"
    head = lab.storage.run(["head", "-c", "16", f"/srv/vms/ds/{image}"]).stdout.strip("\0\n")
    return int(head or 0)


def wait_counting(lab, name, timeout=180):
    """Wait until the guest counts; after a boot it begins anew."""
    before = count(lab, name)
    wait_for(f"the guest of '{name}' to count", lambda: count(lab, name) != before, timeout, 0.5)


def boot(host, uuid):
    """Boot a VM, and wait for what the API says."""
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot", timeout=180)
    assert answer.status == 204, answer.text
    wait_for(f"VM {uuid} to run", lambda: runstate(host, uuid) == "running", 60, 0.2)


def start(lab, name="guest"):
    """Create and boot a VM on the last host, and wait until its guest counts; its uuid."""
    host = lab.hosts[-1]
    uuid = create(host, definition(lab, name))
    boot(host, uuid)
    wait_counting(lab, name)
    return uuid
