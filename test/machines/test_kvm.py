# SPDX-License-Identifier: GPL-2.0-or-later
"""VMs under KVM, on hosts that differ: CPU models and whether a VM can move with them, pins, hugepages of both sizes,
NUMA nodes. UEFI is looked at up to the start of its guest: QEMU 7.2, where it emulates a host, aborts in the firmware of
a UEFI guest under that host's KVM (tcg_handle_interrupt)."""

import os
import re
from types import SimpleNamespace

import pytest
from lab import wait_for
from lab.vms import create, delete, runstate, vmdef, wait_runstate
from test_smoke import place
from vmlab import each, guest, image

COLD, LIVE = 0, 1

# h1 has two NUMA nodes and hugepages of 2 MiB; h2 lacks features of h1's processor, and its hugepages have 1 GiB.
UNLIKE = [
    {"cpus": 2, "nodes": 2, "memory": 2560, "cmdline": "hugepages=128"},
    {"cpus": 2, "cpu": "-avx2,-bmi2", "memory": 2560, "cmdline": "default_hugepagesz=1G hugepagesz=1G hugepages=1"},
]
MISSING = ("avx2", "bmi2")


@pytest.fixture(scope="module")
def hosts_unlike(machines):
    """The snapshot in which the hosts are so, which is made where this build has none, and whether they are fit for the
    next test."""
    name = f"unlike{image.digest(str(UNLIKE))[:6]}"
    if name not in machines.snapshots():
        machines.restore("ready")
        with machines.timed("make the hosts unlike"):
            each(lambda pair: pair[0].equip(**pair[1]), list(zip(machines.hosts, UNLIKE, strict=True)))
            each(lambda host: host.wait_ready(300), machines.hosts)
        machines.snapshot(name)
    return SimpleNamespace(snapshot=name, fit=False)


@pytest.fixture
def lab(machines, hosts_unlike, request):
    """The hosts as the test before has left them, without its VMs: machines that come from a snapshot are slow at first.
    After a test that has failed they come from theirs."""
    if not hosts_unlike.fit:
        machines.restore(hosts_unlike.snapshot)
    failed = request.session.testsfailed
    hosts_unlike.fit = False
    yield machines
    if request.session.testsfailed == failed:
        for host in machines.hosts:
            clear(host)
        hosts_unlike.fit = True


def clear(host):
    """It has no VM any more."""
    for uuid in host.virsh("list", "--all", "--uuid").stdout.split():
        if runstate(host, uuid) != "poweroff":
            off(host, uuid)
        delete(host, uuid)


def of_model(model, **topology):
    return {"model": model, "nodes": 1, "sockets": 1, "cores": 1, "threads": 1, **topology}


def boot(host, uuid):
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot", timeout=180)
    assert answer.status == 204, answer.text
    wait_runstate(host, uuid, "running")


def off(host, uuid):
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_runstate(host, uuid, "poweroff")


def migrate(source, uuid, target, kind=LIVE):
    return source.api("POST", f"/vms/{uuid}/runstate/migrate", {"host": target.uuid, "migration_type": kind}, timeout=60)


def end(host, answer):
    """What the operation of that answer came to."""
    assert answer.status == 202, answer.text

    def ended():
        found = host.api("GET", answer.headers["Location"]).json()
        return found if found["state"] != "started" else None

    return wait_for("the operation to end", ended, 180, 0.3)


def move(source, uuid, target, kind=LIVE):
    """It goes, and all see it there."""
    done = end(source, migrate(source, uuid, target, kind))
    assert done["state"] == "completed", done
    for host in (source, target):
        wait_for("it to be seen there", lambda host=host: place(host, uuid) == target.uuid, 30, 0.2)
    assert source.virsh("list", "--all", "--uuid").stdout.split() == []


def refused(answer, *words):
    assert answer.status == 422, answer.text
    for word in words:
        assert word in answer.json()["detail"], answer.text


def standing(source, target, uuid):
    """All that a migration that is refused leaves as it was."""
    return {"xml": source.virsh("dumpxml", uuid).stdout, "defined": source.virsh("dumpxml", "--inactive", uuid).stdout,
            "state": runstate(source, uuid), "leases": sorted(source.sanlock_status()["resources"]),
            "there": target.virsh("list", "--all", "--uuid").stdout,
            "files": source.shell(f"cd /vms/xml; ls {source.uuid} {target.uuid}; sha256sum {source.uuid}/{uuid}.xml").stdout}


def cpu(host, uuid, *inactive):
    """The element of its domain's XML."""
    return re.search(r"<cpu [^>]*?(/>|>.*?</cpu>)", host.virsh("dumpxml", uuid, *inactive).stdout, re.S)[0]


def command_line(host, uuid):
    """QEMU's, as a list."""
    return host.shell(f"tr '\\0' '\\n' < /proc/$(cat /run/libvirt/qemu/{uuid}.pid)/cmdline").stdout.split("\n")


def option(host, uuid, name):
    argv = command_line(host, uuid)
    return argv[argv.index(name) + 1]


# CPU models

def test_models(lab):
    """What the host has, and what is named, is what QEMU is given; the definition stays as it was asked for."""
    h1, h2 = lab.hosts
    for host, model, wanted in ((h1, "host-passthrough", "host,migratable=on"), (h2, "host-passthrough", "host,migratable=on"),
                                (h1, "maximum", "max,migratable=on"), (h1, "host-model", ""), (h2, "host-model", ""),
                                (h2, "qemu64", "qemu64"), (h1, "EPYC", "EPYC"), (h2, "EPYC", "EPYC")):
        uuid = create(host, vmdef("model", cpudef=of_model(model)))
        boot(host, uuid)
        given = option(host, uuid, "-cpu")
        assert given.startswith(wanted), (host, model, given)
        assert option(host, uuid, "-accel") == "kvm"
        assert host.api("GET", f"/vms/{uuid}").json()["def"]["cpudef"]["model"] == model
        defined = cpu(host, uuid, "--inactive")
        assert f"mode='{model}'" in defined if "host" in model or model == "maximum" else f">{model}</model>" in defined
        off(host, uuid)
        delete(host, uuid)


def test_unknown_model(lab):
    h1 = lab.hosts[0]
    answer = h1.api("POST", "/vms", {"vmdef": vmdef("odd", cpudef=of_model("EPYC-1999")), "host": h1.uuid})
    assert answer.status == 422, answer.text
    detail = answer.json()["detail"]
    assert detail.startswith("vmdef.cpudef.model: ") and "'EPYC-1999'" in detail and ", EPYC-Rome" in detail, detail
    assert h1.virsh("list", "--all", "--uuid").stdout == "" and lab.storage.run(["ls", "/srv/vms/ds"]).stdout == ""


@pytest.mark.parametrize("model", ["host-passthrough", "maximum", "host-model", "Haswell-noTSX"])
def test_cpu_that_the_other_lacks(lab, model):
    """It does not move there live, and the answer has libvirt's words; nothing changes. Powered off it does."""
    h1, h2 = lab.hosts
    uuid = create(h1, vmdef("stays", cpudef=of_model(model)))
    boot(h1, uuid)
    before = standing(h1, h2, uuid)
    answer = migrate(h1, uuid, h2)
    assert answer.status == 422, answer.text
    detail = answer.json()["detail"]
    assert f"host '{h2.uuid}' lacks features of the CPU of VM '{uuid}'" in detail, detail
    assert all(word in detail for word in MISSING), detail
    assert standing(h1, h2, uuid) == before
    off(h1, uuid)
    move(h1, uuid, h2, COLD)
    # A model of more than the host has starts without what that lacks, as libvirt has it (check='none').
    boot(h2, uuid)
    off(h2, uuid)


def test_cpu_that_both_have(lab):
    """With a model of both the guest goes on on the other host, and comes back."""
    h1, h2 = lab.hosts
    uuid = create(h1, guest.definition(lab, "common", cpudef=of_model("Nehalem")))
    boot(h1, uuid)
    guest.wait_counting(lab, "common")
    before = guest.count(lab, "common")
    for source, target in ((h1, h2), (h2, h1)):
        with lab.timed(f"migrate a VM of a named model from {source.name}"):
            move(source, uuid, target)
        guest.wait_counting(lab, "common")
        assert ">Nehalem</model>" in cpu(target, uuid, "--inactive")
    assert guest.count(lab, "common") > before  # it has not booted again


@pytest.mark.parametrize("model", ["host-model", "host-passthrough", "EPYC"])
def test_cpu_of_the_lesser_host(lab, model):
    """What a host with less has, the other one has as well. Of an EPYC neither has all (topoext)."""
    h1, h2 = lab.hosts
    uuid = create(h2, guest.definition(lab, "lesser", cpudef=of_model(model)))
    boot(h2, uuid)
    guest.wait_counting(lab, "lesser")
    before = cpu(h2, uuid, "--inactive")
    move(h2, uuid, h1)
    guest.wait_counting(lab, "lesser")
    assert cpu(h1, uuid, "--inactive") == before
    if model == "host-passthrough":
        refused(migrate(h1, uuid, h2), *MISSING)
        return
    # It is what it was when it started: the way back is open.
    move(h1, uuid, h2)
    guest.wait_counting(lab, "lesser")


# Pins

def affinity(host, uuid):
    """The CPUs that each of its vCPUs may be on, by the kernel."""
    lines = host.shell(f"""for task in /proc/$(cat /run/libvirt/qemu/{uuid}.pid)/task/*; do
        if grep -q ^CPU $task/comm; then echo "$(cat $task/comm) $(awk '/^Cpus_allowed_list/ {{ print $2 }}' $task/status)"; fi
        done""").stdout
    return sorted(lines.splitlines())


def test_tuning_stays(lab):
    """What somebody has tuned with virsh is there after an update, and on the other host."""
    h1, h2 = lab.hosts
    definition = guest.definition(lab, "tuned", cpudef=of_model("Nehalem", sockets=2))
    uuid = create(h1, definition)
    for args in (("vcpupin", uuid, "0", "1"), ("vcpupin", uuid, "1", "0"), ("emulatorpin", uuid, "0"),
                 ("schedinfo", uuid, "--set", "cpu_shares=512")):
        h1.virsh(*args, "--config")
    tuned = re.search(r"<cputune>.*?</cputune>", h1.virsh("dumpxml", "--inactive", uuid).stdout, re.S)[0]
    assert tuned.count("vcpupin") == 2 and "<shares>512" in tuned
    wanted = ["CPU 0/KVM 1", "CPU 1/KVM 0"]

    definition["memory"]["total"] = 144
    assert h1.api("PUT", f"/vms/{uuid}", {"vmdef": definition}).status == 204
    assert tuned in h1.virsh("dumpxml", "--inactive", uuid).stdout
    boot(h1, uuid)
    guest.wait_counting(lab, "tuned")
    assert affinity(h1, uuid) == wanted
    move(h1, uuid, h2)
    guest.wait_counting(lab, "tuned")
    assert affinity(h2, uuid) == wanted
    assert tuned in h2.virsh("dumpxml", uuid).stdout and tuned in h2.virsh("dumpxml", "--inactive", uuid).stdout
    off(h2, uuid)
    move(h2, uuid, h1, COLD)
    assert tuned in h1.virsh("dumpxml", "--inactive", uuid).stdout


# Hugepages

def pages(host):
    """Free hugepages of the host's default size."""
    return int(re.search(r"HugePages_Free: *(\d+)", host.read("/proc/meminfo"))[1])


def huge(name, mib):
    return vmdef(name, cpudef=of_model("Nehalem"), memory={"total": mib, "hp": True})


def test_hugepages_of_2_mib(lab):
    h1, h2 = lab.hosts
    resources = h1.api("GET", f"/hosts/{h1.uuid}").json()["resources"]["hp"]
    assert (resources["total"], resources["free"]) == (256, 256)
    uuid = create(h1, huge("first", 160))
    boot(h1, uuid)
    assert pages(h1) == 128 - 80
    assert "/dev/hugepages/libvirt" in " ".join(command_line(h1, uuid))
    other = create(h1, huge("second", 98))
    refused(h1.api("POST", f"/vms/{other}/runstate/boot"),
            f"host '{h1.uuid}' has 96 MiB of free hugepages (48 of 2048 KiB), and the VM needs 98 MiB")
    assert runstate(h1, other) == "poweroff" and pages(h1) == 48
    assert len(h1.sanlock_status()["resources"]) == 2
    # Where a page is larger than the VM it does not go.
    before = standing(h1, h2, uuid)
    refused(migrate(h1, uuid, h2), h2.uuid, "add up to the 160 MiB", "0 of 2048 KiB, 1 of 1048576 KiB")
    assert {**standing(h1, h2, uuid), "there": before["there"]} == before
    off(h1, uuid)
    assert pages(h1) == 128


def test_hugepages_of_1_gib(lab):
    h2 = lab.hosts[1]
    resources = h2.api("GET", f"/hosts/{h2.uuid}").json()["resources"]["hp"]
    assert (resources["total"], resources["free"]) == (1024, 1024)
    uuid = create(h2, huge("large", 1024))
    other = create(h2, huge("small", 256))
    refused(h2.api("POST", f"/vms/{other}/runstate/boot"),
            f"a hugepage of host '{h2.uuid}' has 1024 MiB, and the VM has 256 MiB")
    boot(h2, uuid)
    assert pages(h2) == 0
    third = create(h2, huge("third", 1024))
    refused(h2.api("POST", f"/vms/{third}/runstate/boot"),
            f"host '{h2.uuid}' has 0 MiB of free hugepages (0 of 1048576 KiB), and the VM needs 1024 MiB")
    off(h2, uuid)
    assert pages(h2) == 1


# NUMA

def node_pages(host, uuid, mib):
    """On which nodes the memory of the guest is."""
    maps = host.shell(f"cat /proc/$(cat /run/libvirt/qemu/{uuid}.pid)/numa_maps").stdout
    line = max(maps.splitlines(), key=lambda line: int((re.search(r" anon=(\d+)", line) or re.search(r" mapmax=(\d+)", line)
                                                        or [0, 0])[1]))
    return line


def test_numa_placement(lab):
    """numad chooses the nodes, and the VM's memory and CPUs are on them."""
    h1, h2 = lab.hosts
    assert h1.api("GET", f"/hosts/{h1.uuid}").json()["def"]["cpudef"]["nodes"] == 2
    assert h2.api("GET", f"/hosts/{h2.uuid}").json()["def"]["cpudef"]["nodes"] == 1
    uuid = create(h1, vmdef("placed", cpudef=of_model("Nehalem"), numa={"placement": True}, memory={"total": 64, "hp": True}))
    boot(h1, uuid)
    print(h1.virsh("dumpxml", uuid).stdout)
    print(h1.virsh("numatune", uuid).stdout, command_line(h1, uuid), affinity(h1, uuid))
    print(h1.shell("cat /sys/devices/system/node/node*/hugepages/hugepages-2048kB/free_hugepages").stdout)
    off(h1, uuid)
    h1.run(["mv", "/usr/bin/numad", "/usr/bin/numad.away"])
    refused(h1.api("POST", f"/vms/{uuid}/runstate/boot"), "numad", f"not installed on host '{h1.uuid}'")
    h1.run(["mv", "/usr/bin/numad.away", "/usr/bin/numad"])


# UEFI

def test_uefi_variables(lab):
    """They are on the storage, QEMU's own, and go with the VM; the guest does not run (see above)."""
    h1, h2 = lab.hosts
    uuid = create(h1, vmdef("uefi", firmware=1, cpudef=of_model("Nehalem"), memory={"total": 160, "hp": False}))
    path = f"/vms/nvram/{uuid}_VARS.fd"
    assert path in h1.virsh("dumpxml", "--inactive", uuid).stdout
    move(h1, uuid, h2, COLD)
    h2.virsh("start", "--paused", uuid)
    assert h2.run(["stat", "-c", "%a %U", path]).stdout.strip() == "600 libvirt-qemu"
    off(h2, uuid)
    move(h2, uuid, h1, COLD)
    delete(h1, uuid)
    assert os.path.basename(path) not in lab.storage.run(["ls", "/srv/vms/nvram"]).stdout
