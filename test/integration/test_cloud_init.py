# SPDX-License-Identifier: GPL-2.0-or-later
"""The cloud-init CD: there before the guest's first instruction, gone when the VM is off."""

import os
import re
import signal
import stat
import threading
import time

import pytest
from conftest import BUILD, create, delete, disk, oplog, runstate, vm_told, vmdef, wait_ready, wait_runstate
from lab import wait_for, wrapped
from test_kill import jobs, kill, send

SECRET = "xyzzy-8f3a-secret"
USER_DATA = f"#cloud-config\npassword: {SECRET}\n"
LOCKSPACE = "__VIRTX__DISKS__"


def options(user_data=USER_DATA, **more):
    texts = {"ci-userdata": user_data, **{f"ci-{name}": text for name, text in more.items()}}
    return {"cloud_init": [{"name": name, "value": text} for name, text in texts.items() if text]}


def boot(host, uuid, body=None):
    return host.api("POST", f"/vms/{uuid}/runstate/boot", body)


def inactive(host, uuid):
    """The inactive XML without the operation log and what is wanted, by sorted lines: libvirt moves controllers."""
    xml = host.virsh("dumpxml", "--inactive", "--security-info", uuid).stdout
    xml = re.sub(r"\s*<virtx-op-(\w+):data-op .*?</virtx-op-\1:data-op>", "", xml, flags=re.S)
    xml = re.sub(r"\s*<virtx-want:want .*?</virtx-want:want>", "", xml, flags=re.S)
    return "\n".join(sorted(xml.splitlines()))


def resources(lab):
    return sorted(set(os.listdir(f"{lab.vms}/lock")) - {LOCKSPACE})


def seed(lab, uuid):
    return f"{lab.vms}/ds/ci/{uuid}/seed.iso"


def registered(lab, host, uuid):
    with open(f"{lab.vms}/xml/{host.uuid}/{uuid}.xml") as file:
        return file.read()


def is_clean(lab, host, uuid, before, n=2):
    """Off as if it had never had a CD; the ISO may stay."""
    folder = os.path.dirname(seed(lab, uuid))
    return (len(resources(lab)) == n and inactive(host, uuid) == before and
            not os.path.exists(host.path(f"/run/virtx/ci-{uuid}")) and
            set(os.listdir(folder) if os.path.exists(folder) else []) <= {"seed.iso"})


def guest(lab, host, image, name):
    """A VM that prints its CD; it has its own lease and that of one managed disk."""
    os.makedirs(f"{lab.vms}/ds", exist_ok=True)
    host.run(["qemu-img", "convert", "-O", "qcow2", image, f"/vms/ds/{name}.qcow2"])
    return create(host, vmdef(name, osdisk=disk(f"/vms/ds/{name}.qcow2", prov=0),
                              memory={"total": 128, "hp": False}))


def console(host, uuid):
    """What the guest has printed when it is up and has looked for a CD, by lines."""
    path = host.path(host.virsh("ttyconsole", uuid).stdout.strip())
    seen = b""
    fd = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        def is_up():
            nonlocal seen
            try:
                seen += os.read(fd, 65536)
            except BlockingIOError:
                pass
            return b"virtx-guest: up" in seen and b"init began at" in seen
        wait_for("the guest to be up", is_up, 90)
    finally:
        os.close(fd)
    return [line.removeprefix("virtx-guest: ") for line in seen.decode().splitlines()]


class Watch(threading.Thread):
    """Looks for the secret in the arguments and environments of all processes."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.commands = set()
        self.running = True

    def run(self):
        while self.running:
            for pid in filter(str.isdigit, os.listdir("/proc")):
                for name in ("cmdline", "environ"):
                    try:
                        with open(f"/proc/{pid}/{name}", "rb") as file:
                            text = file.read()
                    except OSError:
                        continue
                    if SECRET.encode() in text:
                        self.found.append(text)
                    if name == "cmdline" and b"cidata" in text:
                        self.commands.add(text.split(b"\0")[0])
            time.sleep(0.002)

    def __exit__(self, *exc):
        self.running = False
        self.join()

    def __enter__(self):
        self.start()
        return self


def files_with_the_secret(*folders):
    found = []
    for folder in folders:
        for top, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(top, name)
                if stat.S_ISREG(os.lstat(path).st_mode):
                    with open(path, "rb") as file:
                        if SECRET.encode() in file.read():
                            found.append(path)
    return found


def test_guest_reads_its_cd(lab1, host, guest_image):
    uuid = guest(lab1, host, guest_image, "ci")
    before = inactive(host, uuid)
    with Watch() as watch:
        answer = boot(host, uuid, options(networkconfig="version: 2\n"))
    assert answer.status == 204, answer.text
    assert watch.found == []
    assert b"xorrisofs" in watch.commands
    assert not os.path.exists(host.path(f"/run/virtx/ci-{uuid}"))
    assert stat.S_IMODE(os.stat(seed(lab1, uuid)).st_mode) & 0o137 == 0

    held = [line.split(":")[1] for line in host.sanlock_status()["resources"]]
    assert len(held) == 3 and sorted(held) == resources(lab1)
    # What another implementation starts the VM from has none.
    assert "seed.iso" in host.virsh("dumpxml", uuid).stdout
    assert "seed.iso" not in inactive(host, uuid) + registered(lab1, host, uuid)
    for name in held:
        host.run(wrapped([f"{BUILD}/lvbcheck/virtx-check-lvb", f"/vms/lock/{name}/{name}", uuid]))
    # It is no disk of the VM's.
    assert vm_told(host, uuid)["def"]["disks"] == []

    lines = console(host, uuid)
    end = next(n for n, line in enumerate(lines) if line.startswith("CD read at "))
    assert [line.strip() for line in lines[end - 5:end]] == [
        f"meta-data: instance-id: {uuid}", f"meta-data: local-hostname: {uuid}",
        "network-config: version: 2", "user-data: #cloud-config", f"user-data: password: {SECRET}"]
    read_at, began_at = map(float, re.findall(r"[\d.]+", lines[end]))
    # It takes no longer than three boots up to there, however busy the machine is: it did not have to be waited for.
    assert read_at - began_at < 3 * began_at
    # It was there before the first instruction.
    with open(f"/proc/{host.qemu_pid(uuid)}/cmdline") as file:
        assert f"/vms/ds/ci/{uuid}/seed.iso" in file.read()
    print("the guest read its CD", read_at - began_at, "s after its init began")

    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 0}).status == 202
    wait_runstate(host, uuid, "poweroff")
    wait_for("the CD to be gone", lambda: is_clean(lab1, host, uuid, before), 20)
    assert os.path.exists(seed(lab1, uuid))
    assert files_with_the_secret(host.path("/var/log"), host.path("/etc/libvirt"), f"{lab1.vms}/xml",
                                 host.path("/run/virtx")) == []
    assert SECRET not in host.api("GET", "/operations").text + host.api("GET", f"/vms/{uuid}").text

    # No options, no CD.
    wait_for("the boot", lambda: boot(host, uuid).status == 204, 10)
    lines = console(host, uuid)
    assert "no CD" in lines
    assert len(host.sanlock_status()["resources"]) == 2 and len(resources(lab1)) == 2
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204

    # Other options, another CD.
    body = options("#!/bin/true\n", metadata="instance-id: two\n")
    wait_for("the boot", lambda: boot(host, uuid, body).status == 204, 20)
    lines = console(host, uuid)
    assert "meta-data: instance-id: two" in lines and "user-data: #!/bin/true" in lines
    assert not [line for line in lines if "network-config" in line]
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_for("the CD to be gone", lambda: is_clean(lab1, host, uuid, before), 20)
    wait_for("the delete", lambda: host.api("DELETE", f"/vms/{uuid}",
             {"deletestorage": True}).status == 204, 20)
    assert not os.path.exists(os.path.dirname(seed(lab1, uuid)))
    assert resources(lab1) == []


def test_only_network_config(lab1, host, guest_image):
    uuid = guest(lab1, host, guest_image, "cinet")
    assert boot(host, uuid, options("", networkconfig="version: 1\n")).status == 204
    assert "network-config: version: 1" in console(host, uuid)
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    # Deleted before sanlock and vm-heal are through.
    wait_for("the delete", lambda: host.api("DELETE", f"/vms/{uuid}",
             {"deletestorage": True}).status == 204, 20)
    assert not os.path.exists(os.path.dirname(seed(lab1, uuid))) and resources(lab1) == []


@pytest.mark.parametrize("firmware", [0, 1])
@pytest.mark.parametrize("virtxd", ["up", "down", "killed"])
def test_crash(lab1, host, virtxd, firmware):
    uuid = create(host, vmdef("cicrash", firmware=firmware, memory={"total": 160, "hp": False}))
    before = inactive(host, uuid)
    assert boot(host, uuid, options()).status == 204
    assert len(resources(lab1)) == 3
    if virtxd != "up":
        host.kill("virtxd")
    os.kill(host.qemu_pid(uuid), signal.SIGKILL)
    if virtxd == "killed":
        host.start("virtxd")
    wait_for("the crash", lambda: "crashed" in host.virsh("domstate", "--reason", uuid).stdout, 20)
    if virtxd == "down":
        host.start("virtxd")
    wait_ready(host)
    wait_for("the CD to be gone", lambda: is_clean(lab1, host, uuid, before), 40)
    wait_runstate(host, uuid, "crashed", 20)
    wait_for("the delete", lambda: host.api("DELETE", f"/vms/{uuid}",
             {"deletestorage": True}).status == 204, 20)
    assert resources(lab1) == []


@pytest.mark.parametrize("victims", ["job", "virtxd", "job+virtxd"])
def test_kill(lab1, host, victims):
    uuid = create(host, vmdef("cikill"))
    before = inactive(host, uuid)
    for point in range(14):
        thread = send(host, "POST", f"/vms/{uuid}/runstate/boot", options())
        kill(host, "vm-boot", victims, point * 0.05)
        thread.join()

        def is_right():
            state = runstate(host, uuid)
            if jobs(host, "vm-boot") or jobs(host, "vm-heal"):
                return False
            if state == "running":
                return len(resources(lab1)) == 3 and "seed.iso" in host.virsh("dumpxml", uuid).stdout
            return state in ("poweroff", "crashed") and is_clean(lab1, host, uuid, before)
        wait_for(f"all to be accounted for after point {point}", is_right, 60)
        wait_for("the log to tell the end", lambda: oplog(host, uuid).get("VmBoot", {}).get("status")
                 in (None, "completed", "failed"), 20)
        if runstate(host, uuid) == "running":
            wait_for("the end", lambda: host.api("DELETE", f"/vms/{uuid}/runstate/boot",
                     {"force": 2}).status in (204, 424), 20)
        wait_for("the CD to be gone", lambda: is_clean(lab1, host, uuid, before), 40)
    wait_for("the delete", lambda: host.api("DELETE", f"/vms/{uuid}",
             {"deletestorage": True}).status == 204, 20)
    assert resources(lab1) == [] and not os.path.exists(os.path.dirname(seed(lab1, uuid)))


def test_failed_boot_is_undone(lab1, host):
    uuid = create(host, vmdef("cifail"))
    before = inactive(host, uuid)
    image = f"{lab1.vms}/ds/cifail.qcow2"
    os.rename(image, image + ".away")
    with open(image, "w", encoding="ascii") as file:
        file.write("no image")
    answer = boot(host, uuid, options())
    assert answer.status == 424 and "not in qcow2 format" in answer.json()["detail"]
    assert is_clean(lab1, host, uuid, before)
    assert not os.path.exists(os.path.dirname(seed(lab1, uuid)))
    wait_for("the log to tell the end", lambda: oplog(host, uuid).get("VmBoot", {}).get(
        "status") == "failed", 10)

    # What cannot be undone at once is told, and done later.
    os.makedirs(os.path.dirname(seed(lab1, uuid)))
    other = os.path.join(os.path.dirname(seed(lab1, uuid)), "other")
    open(other, "w").close()
    answer = wait_for("another answer", lambda: (a := boot(host, uuid, options())).status != 409
                      and a, 10)
    assert answer.status == 424 and "not all is undone yet" in answer.json()["detail"]
    wait_for("the log to tell the end", lambda: oplog(host, uuid)["VmBoot"]["status"] == "failed", 20)
    assert "not in qcow2 format" in oplog(host, uuid)["VmBoot"]["msg"]
    os.unlink(other)
    wait_for("the rest", lambda: is_clean(lab1, host, uuid, before), 20)
    os.rename(image + ".away", image)

    # Something is where the CD belongs.
    os.makedirs(seed(lab1, uuid))
    answer = wait_for("another answer", lambda: (a := boot(host, uuid, options())).status != 409
                      and a, 10)
    assert answer.status == 507 and "seed.iso" in answer.json()["detail"]
    os.rmdir(seed(lab1, uuid))
    wait_for("the rest", lambda: is_clean(lab1, host, uuid, before), 20)
    wait_for("a good boot", lambda: boot(host, uuid, options()).status == 204, 10)
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_for("the delete", lambda: host.api("DELETE", f"/vms/{uuid}",
             {"deletestorage": True}).status == 204, 20)


def test_most_leases(lab1, host):
    """As many as may be: the VM's own and 6 disks; the CD needs none of its own then."""
    disks = [disk(f"/vms/ds/cimost{n}.raw", size=1) for n in range(5)]
    uuid = create(host, vmdef("cimost", disks=disks))
    assert boot(host, uuid, options()).status == 204
    assert len(host.sanlock_status()["resources"]) == 7 and len(resources(lab1)) == 8
    assert "seed.iso" in host.virsh("dumpxml", uuid).stdout
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_for("the leases to be free", lambda: not host.sanlock_status()["resources"], 10)
    wait_for("the delete", lambda: host.api("DELETE", f"/vms/{uuid}",
             {"deletestorage": True}).status == 204, 20)


def test_links_are_not_followed(lab1, host):
    uuid = create(host, vmdef("cilink"))
    folder = os.path.dirname(seed(lab1, uuid))
    outside = f"{lab1.vms}/outside"
    os.makedirs(outside)
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    os.symlink(outside, folder)
    answer = boot(host, uuid, options())
    assert answer.status == 422 and "symbolic link" in answer.json()["detail"]
    assert os.listdir(outside) == []
    os.unlink(folder)
    os.rmdir(outside)
    wait_for("the delete", lambda: host.api("DELETE", f"/vms/{uuid}",
             {"deletestorage": True}).status == 204, 20)
    assert resources(lab1) == []


def test_update_takes_a_leftover_along(lab1, host):
    """A VM that went off while virtxd was away, and is updated at once."""
    definition = vmdef("ciupdate")
    uuid = create(host, definition)
    assert boot(host, uuid, options()).status == 204
    host.kill("virtxd")
    os.kill(host.qemu_pid(uuid), signal.SIGKILL)
    wait_for("the lease to be free", lambda: not host.sanlock_status()["resources"], 10)
    host.start("virtxd")
    wait_ready(host)
    body = {"vmdef": {**definition, "name": "renamed"}, "deletestorage": False}
    wait_for("the update", lambda: host.api("PUT", f"/vms/{uuid}", body).status in (200, 204), 20)
    assert "seed.iso" not in inactive(host, uuid) + registered(lab1, host, uuid)
    assert len(resources(lab1)) == 2
    delete(host, uuid)
