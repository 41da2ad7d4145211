# SPDX-License-Identifier: GPL-2.0-or-later
"""NFS as it is: a server that is restarted or gone, answers that get lost, files that are open when they are removed, the
locks of a dead host, no room. VIRTX_OUTAGES="30 120 600" are the seconds for which the server is gone."""

import hashlib
import os
import re
import shlex
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import TIMES
from lab import LabError, wait_for
from lab.vms import create, delete, disk, runstate, vmdef, wait_runstate
from test_boot import expect_ready
from vmlab import PATIENCE, each, guest
from vmlab.sample import Counts, Latency

OUTAGES = [float(word) for word in os.environ.get("VIRTX_OUTAGES", "30").split()]
SANLOCK = 80  # seconds without the storage after which sanlock ends a host's VMs
SRV = "/srv/vms"


def tell(text):
    TIMES.append(f"          {text}\n")


def the_vm(host):
    """The uuid of the only VM."""
    item, = host.api("GET", "/vms").json()["items"]
    return item["uuid"]


def resource(name):
    """The name of the lease of an image in /vms/ds."""
    return hashlib.md5(name.encode()).hexdigest()


def on_server(lab, *folders):
    """What is in these folders of the storage, without markers and what each host keeps there."""
    found = lab.storage.shell(f"cd {SRV}; find {' '.join(folders)} -mindepth 1 | sort").stdout.split()
    return [path for path in found if not re.search(r"/(\.virtx-storage|lockid|seen|__VIRTX__DISKS__.*)$", path) and
            not re.fullmatch(r"xml/[0-9a-f-]{36}", path)]


# The server is restarted, or gone

def create_at_last(host, definition):
    """Ask for a VM until it is created; a refusal says that the storage does not answer, or what the lockspace on it
    waits for. Its uuid."""

    def ask():
        answer = host.api("POST", "/vms", {"vmdef": definition, "host": host.uuid}, timeout=200)
        if answer.status != 201:
            assert answer.status == 503, answer.text
            assert re.search("the shared storage does not answer|^lockspace: it is ", answer.json()["detail"]), answer.text
            return None
        return answer.json()

    return wait_for("the VM to be created", ask, 150, 1)


def test_restarted(running):
    """VMs run on, and a VM that is created meanwhile is there in the end, once."""
    h1, h2 = running.hosts
    uuid = the_vm(h1)
    before = on_server(running, "ds", "lock", "xml")
    with Latency(h1, h2) as latency, Counts(running, "guest") as counts:
        time.sleep(5)
        latency.phase = "restart"
        running.storage.restart("nfs-server")
        with running.timed("create a VM after the server was restarted"):
            other = create_at_last(h1, vmdef("after", osdisk=disk("/vms/ds/after.qcow2", size=1)))
        guest.wait_counting(running, "guest")
    tell(f"the guest stood still for {counts.pause():.1f} s while the server was restarted")
    for host in running.hosts:
        tell(latency.tell(host, "restart"))
        expect_ready(host)
        assert runstate(host, uuid) == "running"
    assert counts.restarts() == 0
    delete(h1, other)
    assert on_server(running, "ds", "lock", "xml") == before


@pytest.mark.parametrize("seconds", OUTAGES)
def test_gone(running, seconds):
    """A guest that writes stands still and goes on; where sanlock had to end it, the host comes back by itself, and the
    VM can be booted again."""
    h1, h2 = running.hosts
    uuid = the_vm(h1)
    boots = [host.boot_id() for host in running.hosts]
    lives = seconds < SANLOCK - 20
    with Latency(h1, h2) as latency, Counts(running, "guest") as counts:
        time.sleep(5)
        latency.phase = "gone"
        running.storage.cut("storage")
        time.sleep(seconds)
        running.storage.cut("storage", False)
        began = time.monotonic()
        latency.phase = "back"
        if lives:
            wait_for("the guest to count on", lambda: counts.seen[-1][0] > time.time() - 2, 90)
            tell(f"the guest went on {time.monotonic() - began:.1f} s after an outage of {seconds:g} s")
        each(lambda host: host.wait_ready(300), running.hosts)
    tell(f"both hosts were ready {time.monotonic() - began:.1f} s after an outage of {seconds:g} s")
    for host in running.hosts:
        tell(latency.tell(host, "gone"))
        assert latency.figures(host, "gone")[1] < min(5, seconds / 4)
    if lives:
        assert counts.restarts() == 0 and [host.boot_id() for host in running.hosts] == boots
        for host in running.hosts:
            assert runstate(host, uuid) == "running"
        return
    was_reset = [host.name for host, boot in zip(running.hosts, boots, strict=True) if host.boot_id() != boot]
    tell(f"reset by the watchdog in an outage of {seconds:g} s: {' '.join(was_reset) or 'none'}")
    for host in running.hosts:
        wait_for("the VM to be off", lambda host=host: runstate(host, uuid) in ("poweroff", "crashed"), 60)
    guest.boot(h2, uuid)
    guest.wait_counting(running, "guest")


# Writes a sector again and again to a mount, and tells of each write how it ended.
WRITER = """\
mount -t nfs -o vers=4.2,{options} nfs:/srv/vms /mnt
systemd-run -q --unit=writer bash -c 'while :; do
    dd if=/dev/zero of=/mnt/probe bs=512 count=1 oflag=direct conv=notrunc 2>/dev/null
    echo "$?" >> /run/writer
    sleep 0.5
done'
until [ -s /run/writer ]; do sleep 0.1; done
"""


def writes(host):
    """How each write has ended: 0, or that it failed."""
    return host.read("/run/writer").split()


def test_soft(lab):
    """On a soft mount writes fail in an outage, on a hard one they wait; hosts whose only mounts of the server these are,
    as mounts of one server share the connection, and so when it is given up."""
    for host, options in zip(lab.hosts, ("hard", "soft,timeo=50,retrans=1"), strict=True):
        host.shell(f"systemctl stop virtxd virtx-lockspace; systemctl stop sanlock; umount /vms\n{WRITER.format(options=options)}",
                   timeout=120)
    lab.storage.cut("storage")
    began = time.monotonic()
    # Not before the connection is given up: what was sent over one that stands is waited for.
    wait_for("a write on the soft mount to fail", lambda: set(writes(lab.hosts[1])) > {"0"}, 300, 1)
    took = time.monotonic() - began
    lab.storage.cut("storage", False)
    for host in lab.hosts:
        before = len(writes(host))
        wait_for(f"writes of {host.name} to go on", lambda host=host, before=before: "0" in writes(host)[before + 1:], 90, 0.5)
    hard, soft = map(writes, lab.hosts)
    tell(f"{took:.1f} s after the cut a write failed on a soft mount; all {len(hard)} on a hard one were done in the end")
    assert set(hard) == {"0"}


# Answers that get lost

DELAY = int(150 * PATIENCE)  # ms, of each answer; within it the server sees that it has done something

# From some step on answers take a while; as soon as the server has done the one that is meant, they get lost, and it is
# restarted: so it is asked again, and does not know that it was it who did.
LOSE = """\
cd {srv}
flags=/sys/class/net/eth1/flags
up=$(< $flags)
trap 'tc qdisc del dev eth1 root || :; ip link set eth1 up' EXIT
[ -p /run/never ] || mkfifo /run/never
pause() {{ read -rt 0.02 <> /run/never || [ $SECONDS -lt 100 ]; }}
slow() {{ tc qdisc replace dev eth1 root netem delay {delay}ms; }}
SECONDS=0
if {step}; then
    slow
    touch /run/armed
else
    touch /run/armed
    until {step}; do pause; done
    slow
fi
until {done}; do pause; done
echo $((up & ~1)) > $flags  # at once, without the start of a program
systemctl stop nfs-server
# What the server had sent before it went would still arrive.
ss -Kta 'sport = :2049' > /dev/null
systemctl start nfs-server
"""


def retransmissions(host):
    """Of each NFS operation how often it was sent again, by what the kernel tells."""
    found = {}
    for line in host.read("/proc/self/mountstats").splitlines():
        words = line.split()
        if re.fullmatch(r"[A-Z_]+:", words[0] if words else ""):
            found[words[0][:-1]] = found.get(words[0][:-1], 0) + int(words[2]) - int(words[1])
    return found


def asked_again(host, before, ret):
    """What was sent again since; ret has it, too."""
    after = retransmissions(host)
    ret[:] = [name for name in after if after[name] > before.get(name, 0)]
    return ret


def lose(lab, host, operation, done, request, step="true"):
    """Make the request while the answer to the operation that brings about `done` on the server is lost, some programs
    after `step` has come about there; its answer."""
    before = retransmissions(host)
    lab.storage.shell("rm -f /run/armed")
    with ThreadPoolExecutor(2) as pool:
        loses = pool.submit(lab.storage.shell, LOSE.format(srv=SRV, step=step, done=done, delay=DELAY), timeout=150)
        wait_for("it to be looked at", lambda: lab.storage.run(["test", "-e", "/run/armed"], check=False).returncode == 0)
        answer = pool.submit(request)
        try:
            loses.result()
        except LabError as error:
            raise AssertionError(f"{done} has not come about: {error}; {answer.result().text}") from None
        answer = answer.result()
    # An operation goes on after its answer.
    again = []
    try:
        wait_for("the answer to be lost", lambda: operation in asked_again(host, before, again), 60, 0.5)
    except LabError:
        raise AssertionError(f"no answer to {operation} was lost, but to {again}") from None
    tell(f"{done}: {answer.status}; asked again: {' '.join(again)}")
    return answer


NAME = "lost.qcow2"
HASH = resource(NAME)
LEASED = f"[ -e lock/{HASH} ]"
CREATES = [("CREATE", "true", f"compgen -G 'lock/.{HASH}.*' >/dev/null"),   # the folder of the lease is made,
           ("RENAME", "true", LEASED),                                      # and gets its name;
           ("LINK", LEASED, f"[ -e ds/{NAME} ]"),                           # so does the image,
           ("RENAME", LEASED, "compgen -G 'xml/*/*-*.xml' >/dev/null")]     # and the definition
DELETES = [("REMOVE", "! compgen -G 'xml/*/*-*.xml' >/dev/null"),
           ("REMOVE", f"[ ! -e ds/{NAME} ]"),
           ("RENAME", f"[ ! -e lock/{HASH} ]")]


def lost_grace(lab):
    """The server's time of grace is not what these tests are about."""
    lab.storage.write("/etc/nfs.conf.d/test.conf", "[nfsd]\ngrace-time=15\nlease-time=15\n")
    lab.storage.restart("nfs-server")


def test_lost_answers(lab):
    """All is done, and only once, and who asked is told so: create, move, delete."""
    h1, h2 = lab.hosts
    lost_grace(lab)
    definition = vmdef("lost", osdisk=disk(f"/vms/ds/{NAME}", size=1))
    for operation, step, done in CREATES:
        answer = lose(lab, h1, operation, done, lambda: h1.api(
            "POST", "/vms", {"vmdef": definition, "host": h1.uuid}, timeout=200), step)
        assert answer.status == 201, answer.text
        uuid = answer.json()
        assert sorted(on_server(lab, "ds", "lock", "xml")) == sorted(
            [f"ds/{NAME}", f"lock/{HASH}", f"lock/{HASH}/{HASH}", f"xml/{h1.uuid}/{uuid}.xml"])
        delete(h1, uuid)
    uuid = create(h1, definition)
    answer = lose(lab, h1, "RENAME", f"[ -e xml/{h2.uuid}/{uuid}.xml ]", lambda: h1.api(
        "POST", f"/vms/{uuid}/runstate/migrate", {"host": h2.uuid, "migration_type": 0}, timeout=200))
    assert answer.status == 202, answer.text
    for host in lab.hosts:
        wait_for("it to be known to have moved", lambda host=host: host.api("GET", f"/vms/{uuid}/runstate").json().get(
            "host") == h2.uuid, 60)
    delete(h2, uuid)
    for operation, done in DELETES:
        uuid = create(h1, definition)
        answer = lose(lab, h1, operation, done, lambda uuid=uuid: h1.api(
            "DELETE", f"/vms/{uuid}", {"deletestorage": True}, timeout=200))
        assert answer.status == 204, answer.text
        assert on_server(lab, "ds", "lock", "xml") == []


# Names that the kernel still knows

def test_moved_at_once(lab):
    """What another host has moved is found where it is now, though the kernel keeps for seconds where it was."""
    h1, h2 = lab.hosts
    uuid = create(h1, vmdef("moves", osdisk=disk("/vms/ds/moves.qcow2", size=1)))
    files = [f"/vms/xml/{host.uuid}/{uuid}.xml" for host in lab.hosts]
    for source, target in (h1, h2), (h2, h1), (h1, h2):
        each(lambda host: host.run(["ls", *files], check=False), lab.hosts)
        moved = source.virtx("migrate", "vm", uuid, "-h", target.uuid, "--wait")
        assert moved.returncode == 0, moved.stderr
        # Which each of them does only where it is that host's, and no other's.
        answer = target.api("POST", f"/vms/{uuid}/runstate/boot", timeout=180)
        assert answer.status == 204, answer.text
        assert target.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
        each(lambda host: wait_runstate(host, uuid, "poweroff"), lab.hosts)
    delete(h2, uuid)


# Files that are open when they are removed

def hold(host, path):
    """A process of the host has the file open until the unit 'holder' is stopped."""
    host.shell(f"systemd-run -q --unit=holder bash -c {shlex.quote(f'exec 9< {path}; touch /run/held; sleep 600')}; "
               "until [ -e /run/held ]; do sleep 0.05; done; rm /run/held")


@pytest.mark.parametrize("what", ["image", "lease"])
def test_open_when_removed(lab, what):
    """What somebody on the host has open stays on the server under another name until it is closed: that is nobody's
    VM, hinders no new one of the same name, and is gone then."""
    h1 = lab.hosts[0]
    definition = vmdef("open", osdisk=disk("/vms/ds/open.qcow2", size=1))
    lease = resource("open.qcow2")
    uuid = create(h1, definition)
    hold(h1, "/vms/ds/open.qcow2" if what == "image" else f"/vms/lock/{lease}/{lease}")
    answer = h1.api("DELETE", f"/vms/{uuid}", {"deletestorage": True})
    tell(f"{what} open: {answer.status} {answer.headers.get('Warning')}; left {on_server(lab, 'ds', 'lock', 'xml')}")
    assert answer.status in (200, 204), answer.text
    assert any("/.nfs" in path for path in on_server(lab, "ds", "lock"))
    again = create(h1, definition)
    assert h1.api("GET", f"/vms/{uuid}").status == 404
    h1.stop("holder")
    own = sorted(["ds/open.qcow2", f"lock/{lease}", f"lock/{lease}/{lease}", f"xml/{h1.uuid}/{again}.xml"])
    wait_for("the rest to go", lambda: sorted(on_server(lab, "ds", "lock", "xml")) == own, 90, 0.5)
    delete(h1, again)
    assert on_server(lab, "ds", "lock", "xml") == []
    assert not h1.api("GET", f"/hosts/{h1.uuid}").json().get("problems")


# Who has an image open

IS_OPEN = 'Failed to get shared "write" lock'


def test_locks_of_a_dead_host(running):
    """How long QEMU's own lock of an image keeps others from it when its host is dead."""
    h1, h2 = running.hosts

    def info():
        return h1.run(["qemu-img", "info", "/vms/ds/guest.qcow2"], check=False)

    assert IS_OPEN in info().stderr
    h2.power("off")
    died = time.monotonic()
    wait_for("the image to be free", lambda: info().returncode == 0, 150 / PATIENCE, 1)
    tell(f"an image could be opened {time.monotonic() - died:.0f} s after its host's death")
    assert time.monotonic() - died < 110


def test_open_elsewhere(running):
    """A VM whose image somebody has open on another host is not started, which is told, and leaves nothing held."""
    h1, h2 = running.hosts
    uuid = the_vm(h1)
    assert h2.virtx("shutdown", "vm", uuid).returncode == 0
    wait_runstate(h2, uuid, "poweroff")
    h1.shell("systemd-run -q --unit=holder bash -c 'sleep 600 | qemu-io /vms/ds/guest.qcow2'")
    wait_for("the image to be open", lambda: h2.run(["qemu-img", "info", "/vms/ds/guest.qcow2"], check=False).returncode, 30)
    answer = h2.api("POST", f"/vms/{uuid}/runstate/boot", timeout=180)
    assert answer.status == 424 and 'Failed to get "write" lock' in answer.json()["detail"], answer.text
    assert runstate(h2, uuid) == "poweroff"
    wait_runstate(h1, uuid, "poweroff")
    assert [host.sanlock_status()["resources"] for host in running.hosts] == [[], []]
    h1.stop("holder")
    guest.boot(h2, uuid)
    guest.wait_counting(running, "guest")


# No room

def grows(lab, host):
    """A VM that is off, whose second disk grows when its guest counts."""
    return create(host, guest.definition(lab, "grows", disks=[disk("/vms/ds/grows-count.qcow2")]))


def test_full(lab):
    """The server has no room: a guest stands still, which is told, none is created, one can be deleted."""
    h1, h2 = lab.hosts
    uuid = grows(lab, h2)
    other = create(h1, vmdef("other", osdisk=disk("/vms/ds/other.qcow2", size=8)))
    # What only root may take of the file system is taken, too.
    lab.storage.shell(f"for size in 1G 64M 1M 4K; do n=0; while fallocate -l $size {SRV}/../ballast.$size.$n; "
                      "do n=$((n + 1)); done 2>/dev/null; done")
    assert h2.api("POST", f"/vms/{uuid}/runstate/boot", timeout=180).status == 204
    wait_runstate(h1, uuid, "paused", 120)
    wait_for("the reason", lambda: h1.api("GET", f"/vms/{uuid}").json()["runinfo"]["reason"] ==
             "I/O error on disk 'vdb': no space left", 30)
    answer = h1.api("POST", "/vms", {"vmdef": vmdef("more", osdisk=disk("/vms/ds/more.qcow2", size=8)), "host": h1.uuid})
    assert answer.status == 507 and "No space left on device" in answer.json()["detail"], answer.text
    delete(h1, other)
    assert not [path for path in on_server(lab, "ds", "lock") if "more" in path or "other" in path]
    for host in lab.hosts:
        assert host.readyz()[0] == 200, host.readyz()
    lab.storage.shell(f"rm {SRV}/../ballast.*")
    answer = h2.api("DELETE", f"/vms/{uuid}/runstate/pause", timeout=60)
    assert answer.status == 204, answer.text
    wait_runstate(h1, uuid, "running", 30)
