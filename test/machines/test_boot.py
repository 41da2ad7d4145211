# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that boots, and its storage: virtxd serves at once, joins when what it needs has come, in whatever order, and
says what is wrong with its storage while it is. VIRTX_ORDERS=20 tries so many orders of starting, from VIRTX_SEED on."""

import os
import random
import re
import time

import pytest
from conftest import TIMES
from lab import LabError, wait_for
from lab.vms import vmdef
from test_smoke import host_state
from vmlab import each, net
from vmlab.sample import Latency

SEED = int(os.environ.get("VIRTX_SEED", "1"))
ORDERS = int(os.environ.get("VIRTX_ORDERS", "3"))
COLLECTION = 15  # seconds, by default

PARTS = ("libvirtd", "sanlock", "wdmd", "serf", "virtxd", "/vms")
STOP = """\
systemctl stop virtxd virtx-lockspace serf
systemctl stop libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket libvirtd-tcp.socket
systemctl stop sanlock
systemctl stop wdmd
# A job of virtxd may be looking at it just now.
for try in $(seq 40); do umount /vms && exit; sleep 0.5; done; exit 1
"""


def storage_word(host):
    """What /readyz says of the storage; None while nothing answers."""
    try:
        answer = host.api("GET", "/readyz", timeout=10)
        return answer.json()["storage"]
    except OSError:
        return None


def below_mount(host):
    """What is in the folder that the storage is mounted on."""
    return host.shell("mkdir -p /run/below; mount --bind / /run/below; ls -A /run/below/vms; umount /run/below").stdout


def expect_prompt(latency, what):
    slowest, count = latency.slowest()
    TIMES.append(f"{slowest:6.3f} s  the slowest of {count} answers while {what}\n")
    assert slowest < 5


# Orders of starting

def start_all(host, order, rand):
    """Start all parts in that order, with or without time between them."""
    for part in order:
        time.sleep(rand.choice((0, 0, 3)))
        if part == "/vms":
            host.run(["mount", part], timeout=120)
        else:
            host.start(part, 120)


def try_order(host, seed):
    """Stop everything, start it in the order of that seed, and see the host joined; seconds from the last start."""
    rand = random.Random(seed)
    order = rand.sample(PARTS, len(PARTS))
    try:
        host.shell(STOP, timeout=180)
        assert host.run(["ls", "-A", "/vms"]).stdout == ""
        start_all(host, order, rand)
        begin = time.monotonic()
        host.wait_ready(180)
        took = time.monotonic() - begin
        assert len(host.sanlock_status()["lockspaces"]) == 1
        assert below_mount(host) == ""
    except (AssertionError, LabError) as error:
        raise AssertionError(f"{host.name}, seed {seed}, {' '.join(order)}: {error}\n{host.log('virtxd')[-3000:]}") from None
    TIMES.append(f"{took:6.1f} s  {host.name} was ready, after {' '.join(order)}\n")


@pytest.mark.parametrize("first", range(SEED, SEED + ORDERS, 2))
def test_order(lab, first):
    """Two orders at once, one on each host."""
    pairs = list(zip(lab.hosts, range(first, SEED + ORDERS), strict=False))
    each(lambda pair: try_order(*pair), pairs)
    for host in lab.hosts:
        wait_for("the hosts to see each other", lambda host=host: host_state(lab, lab.hosts[0], host) ==
                 host_state(lab, lab.hosts[1], host) == "active", 60, 0.5)


# Boots without the storage

def expect_without_storage(lab, host):
    """virtxd serves, the host is in the cluster, says what is missing, and makes nothing where the storage is to be."""
    wait_for("virtxd to serve", lambda: host.readyz()[0], 120, 0.2)
    served = int(host.show("virtxd", "ActiveEnterTimestampMonotonic")) / 1e6
    TIMES.append(f"{served:6.1f} s  after its kernel {host.name}'s virtxd served, without storage\n")
    assert host.show("vms.mount", "ActiveState") == "activating"
    wait_for("libvirt and serf to be joined", lambda: (said := host.api("GET", "/readyz").json())["libvirt"] ==
             said["serf"] == "", 120, 0.5)
    assert "the storage is not mounted at '/vms'" in storage_word(host)
    answer = host.api("POST", "/vms", {"vmdef": vmdef("refused"), "host": host.uuid})
    assert answer.status == 503 and "not mounted" in answer.json()["detail"], answer.text
    assert host.run(["ls", "-A", "/vms"]).stdout == ""


def test_boot(lab):
    """h1 boots with its cable to the storage cut, h2 while the server does not run; both come later."""
    h1, h2 = lab.hosts
    lab.storage.stop("nfs-server")
    h1.cut("storage")
    each(lambda host: host.power("reset"), lab.hosts)
    each(lambda host: expect_without_storage(lab, host), lab.hosts)
    with Latency(*lab.hosts) as latency:
        for host in lab.hosts:
            wait_for("the hosts to see each other", lambda host=host: host_state(lab, h1, host) ==
                     host_state(lab, h2, host) == "active", 60, 0.5)
        lab.storage.start("nfs-server")
        h1.cut("storage", False)
        with lab.timed("have both ready when the storage came after their boot"):
            each(lambda host: host.wait_ready(300), lab.hosts)
    expect_prompt(latency, "the storage came after the boot")
    for host in lab.hosts:
        assert below_mount(host) == ""
        assert host.wait_system() == "running", host.run(["systemctl", "--failed"]).stdout


# What happens to a mount

def exports(lab, h1, h2):
    """Export the storage with these options to each host, None for not."""
    lines = "".join(f"/srv/vms {net.address(host.n, 'storage')}({options},sync,no_subtree_check)\n"
                    for host, options in zip(lab.hosts, (h1, h2), strict=True) if options)
    lab.storage.write("/etc/exports", lines)
    lab.storage.run(["exportfs", "-ra"])


WELL = "rw,no_root_squash"


def expect_words(lab, host, *words):
    """/readyz comes to say this (regular expressions) of the storage within two collections, and nothing is made."""
    begin = time.monotonic()
    try:
        wait_for(f"{words} in /readyz of {host.name}",
                 lambda: all(re.search(word, storage_word(host) or "") for word in words), 2 * COLLECTION + 10, 0.2)
    except LabError as error:
        raise AssertionError(f"{error}; it says '{storage_word(host)}'") from None
    took = time.monotonic() - begin
    TIMES.append(f"{took:6.1f} s  until {host.name} said {storage_word(host)}\n")
    wait_for(f"{host.name} to know itself", lambda: host.api("GET", f"/hosts/{host.uuid}").status == 200, 60, 0.5)
    answer = host.api("POST", "/vms", {"vmdef": vmdef("refused"), "host": host.uuid}, timeout=60)
    assert answer.status == 503 and re.search(words[0], answer.json()["detail"]), answer.text


def expect_ready(host):
    begin = time.monotonic()
    host.wait_ready()
    TIMES.append(f"{time.monotonic() - begin:6.1f} s  until {host.name} was ready again\n")


def test_server_refuses(lab):
    """The server takes root for nobody, and takes no writes any more: sanlock could not go on for long."""
    exports(lab, "rw,root_squash", "ro,no_root_squash")
    each(lambda case: expect_words(lab, *case),
         [(lab.hosts[0], "Permission denied", "no_root_squash"), (lab.hosts[1], "Read-only file system")])
    exports(lab, WELL, WELL)
    each(expect_ready, lab.hosts)


LEAVE = """\
systemctl stop virtxd virtx-lockspace
systemctl stop sanlock
mount -o remount,ro /vms
systemctl start sanlock virtx-lockspace virtxd
"""


def test_mounted_over_and_read_only(lab):
    """Something else is mounted over h1's storage, and then nothing is at all; h2's becomes read-only, as far as the
    kernel lets it while sanlock writes there."""
    h1, h2 = lab.hosts
    assert "busy" in h2.run(["mount", "-o", "remount,ro", "/vms"], check=False).stderr
    h2.shell(LEAVE, timeout=120)
    h1.run(["mount", "-t", "tmpfs", "none", "/vms"])
    each(lambda case: expect_words(lab, *case),
         [(h1, "the storage is not mounted at '/vms'"), (h2, "Read-only file system", "restart virtxd")])
    assert h1.run(["ls", "-A", "/vms"]).stdout == ""
    h1.run(["umount", "/vms"])
    h2.run(["mount", "-o", "remount,rw", "/vms"])
    h2.restart("virtxd")
    each(expect_ready, lab.hosts)
    h1.run(["umount", "-l", "/vms"])
    expect_words(lab, h1, "the storage is not mounted at '/vms'")
    assert below_mount(h1) == ""
    h1.run(["mount", "/vms"])
    expect_ready(h1)
    assert len(h1.sanlock_status()["lockspaces"]) == 1


def test_export_gone_and_server_silent(lab):
    """h1's export is removed and made again, while h2 does not reach the server, and its virtxd is started anew."""
    h1, h2 = lab.hosts
    exports(lab, None, WELL)
    h2.cut("storage")
    with Latency(*lab.hosts) as latency:
        # The server says the one of a file that it knew, and the other where it has forgotten whose that was.
        each(lambda case: expect_words(lab, *case), [(h1, "Stale file handle|Permission denied"), (h2, "does not answer")])
        exports(lab, WELL, WELL)
        with lab.timed("restart virtxd while the storage hangs"):
            h2.restart("virtxd")
        expect_words(lab, h2, "does not answer")
        h2.cut("storage", False)
        each(expect_ready, lab.hosts)
    expect_prompt(latency, "the export was gone, or the server silent")
