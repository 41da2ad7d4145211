# SPDX-License-Identifier: GPL-2.0-or-later
"""When a host is armed, what the others know of it, and what it ends of its own then.

There is no watchdog here: the hosts are told to do without. h1 is as it is to be, and h2's sanlock has a fixed name.
"""

import os
import re

import pytest
from conftest import BUILD, PREFIX, create, delete, runstate, vmdef, wait_ready, wait_runstate
from lab import Lab, LabError, wait_for

WAIT = 8 * 1 + 60  # s, with an io_timeout of 1 s
FIXED = "sanlock's our_host_name is fixed"


@pytest.fixture(scope="module")
def lab():
    lab = Lab(2, build_dir=BUILD, name=f"{PREFIX}ha", config={"ha": {"unsafe_without_watchdog": "yes"}})
    lab.hosts[0].sanlock_name = None
    with lab:
        for host in lab.hosts:
            wait_ready(host)
        yield lab


def ha(host, of):
    """What a host says of itself, or of another one, of which it has no reasons unless that is asked."""
    answer = host.api("GET", f"/hosts/{of.uuid}")
    # One that was just started does not know the hosts yet.
    told = answer.json()["ha"] if answer.status == 200 else {"armed": False, "reasons": []}
    return {**told, "reasons": [reason["detail"] for reason in told["reasons"] or []]}


def tag(by, of):
    """The tag as serf of the one has it of the other, None for none."""
    found = re.search(r"\bha=([0-9:]+)", by.serf("members", "-name", of.name).stdout)
    return found and found[1]


def shown(host, of):
    """The words of a host's line in `virtx ha` up to the reasons, and these."""
    done = host.virtx("ha")
    assert done.returncode == 0, done.stderr
    titles, *lines = done.stdout.splitlines()
    line = next(line for line in lines if line.startswith(of.uuid))
    place = titles.index("WHY")
    return line[:place].split()[1:], line[place:]


def unprotected(host):
    return {problem["vm"]: problem["detail"] for problem in host.api(
        "GET", f"/hosts/{host.uuid}").json()["problems"] or [] if problem["kind"] == "unprotected"}


def wait_unprotected(host, uuid, words):
    """Wait until the host says so of the VM; what it says instead is shown where it does not."""
    told = [{}]

    def is_told():
        told[0] = unprotected(host)
        return words in told[0].get(uuid, "")

    try:
        wait_for("the problem", is_told, 60)
    except LabError as error:
        raise AssertionError(f"{told[0]}; {host.virsh('list', '--all').stdout}; {host.log('virtxd')[-4000:]}") from error


def generation(host):
    """host_id and generation as sanlock has them."""
    text = host.run(["sanlock", "client", "status", "-D"]).stdout
    number = re.search(r"^s __VIRTX__DISKS__:(\d+):", text, re.M)[1]
    return number, re.search(r"host_generation=(\d+)", text)[1]


def wait_armed(host):
    wait_for(f"{host.name} to be armed", lambda: ha(host, host)["armed"] and not ha(host, host)["reasons"], WAIT + 60)


def test_armed(lab):
    """When the lockspace has been joined for long enough, and not before; all hosts know it by the tag."""
    h1, h2 = lab.hosts
    wait_for("the reason", lambda: ha(h1, h1)["armed"] or [
        reason for reason in ha(h1, h1)["reasons"] if f"has to be joined for {WAIT} s" in reason], 60)
    assert ha(h1, h1)["armed"] or tag(h2, h1) is None
    wait_armed(h1)
    number, gen = generation(h1)
    told = ha(h1, h1)
    assert (told["host_id"], told["generation"], told["io_timeout"], told["fire_timeout"]) == \
        (int(number), int(gen), 1, 60), told
    wait_for("the tag", lambda: tag(h2, h1) == f"{number}:{gen}:1:60", 30)
    wait_for("h2 to know it", lambda: ha(h2, h1) == told, 30)
    for host in lab.hosts:
        words, why = shown(host, h1)
        assert words == ["h1", "active", "yes", number, gen, str(WAIT), "s"], words
        assert "unsafe_without_watchdog is set" in why
    assert "\nvirtx_ha_armed 1\n" in h1.api("GET", "/metrics").text
    assert "unsafe_without_watchdog is set" in h1.api("GET", "/readyz").json()["ha"]
    assert h1.api("GET", "/readyz").status == 200
    assert "unsafe_without_watchdog is set" in h1.log("virtxd")


def test_fixed_name(lab):
    """A name that stays the same is not armed, however long the lockspace has been joined."""
    h1, h2 = lab.hosts
    wait_for("the reason", lambda: [reason for reason in ha(h2, h2)["reasons"] if FIXED in reason], 30)
    assert not ha(h2, h2)["armed"] and not ha(h1, h2)["armed"]
    assert tag(h1, h2) is None
    words, why = shown(h1, h2)
    assert words[:3] == ["h2", "active", "no"] and FIXED in why
    assert "\nvirtx_ha_armed 0\n" in h2.api("GET", "/metrics").text


def test_virtxd_is_started_anew(lab):
    """sanlock knows since when the lockspace is joined. While virtxd is stopped the host is not armed."""
    h1, h2 = lab.hosts
    wait_armed(h1)
    told = tag(h2, h1)
    h1.stop("virtxd")
    wait_for("the tag to go", lambda: tag(h2, h1) is None, 30)
    h1.start("virtxd")
    wait_for("the tag", lambda: tag(h2, h1) == told, 60)
    # One that was killed leaves the tag, which the next one takes back before it looks.
    h1.kill("virtxd")
    h1.start("virtxd")
    wait_armed(h1)
    wait_for("the tag", lambda: tag(h2, h1) == told, 60)


def test_watchdog_is_asked_for(lab):
    """Without the setting a host without a watchdog is not armed."""
    h1, h2 = lab.hosts
    h1.configure({})
    h1.restart("virtxd")
    wait_for("the reason", lambda: [reason for reason in ha(h1, h1)["reasons"] if
                                    "no watchdog protects this host: sanlock does not use a watchdog" in reason], 60)
    assert not ha(h1, h1)["armed"] and h1.api("GET", "/readyz").json()["ha"] == ""
    assert tag(h2, h1) is None
    h1.configure(lab.config)
    h1.restart("virtxd")
    wait_armed(h1)


def test_ends_what_is_not_protected(lab):
    """sanlock dies below a VM of a host that is armed: its QEMU is ended, and what others were told stays."""
    h1, h2 = lab.hosts
    wait_armed(h1)
    wait_for("the tag", lambda: tag(h2, h1), 60)
    told = tag(h2, h1)
    uuid = create(h1, vmdef("fenced"))
    assert h1.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    pid = h1.qemu_pid(h1.virsh("domname", uuid).stdout.strip())
    h1.kill("sanlock")
    wait_for("its QEMU to end", lambda: not os.path.exists(f"/proc/{pid}"), 30)
    wait_for("the VM to be off", lambda: runstate(h1, uuid) in ("crashed", "poweroff"), 30)
    assert f"VM '{uuid}' was ended: others may take its leases" in h1.log("virtxd")
    assert ha(h1, h1)["armed"] and ha(h1, h1)["reasons"]
    assert shown(h2, h1)[0][2] == "lost"
    assert tag(h2, h1) == told
    h1.start("sanlock")
    # Under another name it is another host, which waits until the old one is dead.
    wait_for("h1 to be ready", lambda: h1.api("GET", "/readyz").status == 200, WAIT + 60)
    wait_for("the tag to go", lambda: tag(h2, h1) is None, 30)
    assert [reason for reason in ha(h1, h1)["reasons"] if "has to be joined for" in reason], ha(h1, h1)
    wait_runstate(h1, uuid, "poweroff" if runstate(h1, uuid) == "poweroff" else "crashed")
    delete(h1, uuid)


def test_tells_what_is_not_protected(lab):
    """A host that is not armed leaves such a VM alone, tells of it, and does not join while it is on."""
    host = lab.hosts[1]
    uuid = create(host, vmdef("told"))
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    pid = host.qemu_pid(host.virsh("domname", uuid).stdout.strip())
    host.kill("sanlock")
    host.start("sanlock")
    wait_unprotected(host, uuid, "does not know its process")
    wait_for("it to be told", lambda: f"VM '{uuid}' runs without its leases" in host.log("virtxd"), 30)
    assert os.path.exists(f"/proc/{pid}") and runstate(host, uuid) == "running"
    assert host.sanlock_status()["lockspaces"] == []
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_ready(host)
    wait_runstate(host, uuid, "poweroff")
    delete(host, uuid)


def test_stands_still(lab):
    """A VM that is paused has no leases by libvirt's doing, and is no prey when it goes on."""
    host = lab.hosts[0]
    wait_armed(host)
    uuid = create(host, vmdef("paused"))
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    pid = host.qemu_pid(host.virsh("domname", uuid).stdout.strip())
    for _ in range(3):
        host.virsh("suspend", uuid)
        wait_runstate(host, uuid, "paused")
        host.virsh("resume", uuid)
        wait_runstate(host, uuid, "running")
    assert os.path.exists(f"/proc/{pid}")
    assert f"VM '{uuid}' runs without its leases" not in host.log("virtxd")
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_runstate(host, uuid, "poweroff")
    delete(host, uuid)
