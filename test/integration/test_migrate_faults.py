# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever dies or is cut off while a VM migrates: afterwards exactly one host has it, without a human's help.
VIRTX_MIGRATE_FAULTS=all runs the whole table."""

import contextlib
import os
import signal
import subprocess
import time

import pytest
from conftest import RUNSTATES, create, disk, vmdef, wait_ready
from lab import LabError, wait_for
from test_kill import jobs
from test_migrate import COLD, LIVE, check_place, domains, lab2, migrate, operation  # noqa: F401

ALL = os.environ.get("VIRTX_MIGRATE_FAULTS") == "all"

# Shares of how long a migration without a fault takes.
MOMENTS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def kill_daemon(host, daemon):
    with contextlib.suppress(LabError, ProcessLookupError, FileNotFoundError):
        host.kill(daemon)


def kill_job(host):
    for pid in jobs(host, "vm-migrate"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_qemu(host, uuid):
    pid = host.qemu_pid(uuid)  # None where the migration has ended by now
    with contextlib.suppress(ProcessLookupError):
        if pid:
            os.kill(pid, signal.SIGKILL)


class Fault:
    """What happens, to whom, and how it ends; kill and mend get the host and the other one."""

    def __init__(self, name, kill, mend):
        self.name, self.kill, self.mend = name, kill, mend

    def __repr__(self):
        return self.name


def daemon_fault(daemon):
    return (lambda host, other, lab, uuid: kill_daemon(host, daemon),
            lambda host, other, lab, uuid: host.start(daemon))


def kill_host(host, other, lab, uuid):
    """As when the power fails: all at once, for as long as it takes to start again."""
    host.link(False)
    for daemon in ("virtxd", "libvirtd", "serf", "sanlock"):
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            host.signal(daemon, signal.SIGKILL)
    kill_qemu(host, uuid)
    for daemon in ("virtxd", "libvirtd", "serf", "sanlock"):
        host.wait_dead(daemon)


def start_host(host, other, lab, uuid):
    host.link(True)
    for daemon in ("libvirtd", "sanlock", "serf", "virtxd"):
        host.start(daemon)


def cut(host, other, lab, uuid):
    host.drop(other)
    other.drop(host)


def join(host, other, lab, uuid):
    host.drop(other, False)
    other.drop(host, False)


def nothing(host, other, lab, uuid):
    pass


def block_rename(host, other, lab, uuid):
    """The directory that the registry's file goes to is not there, for a while."""
    with contextlib.suppress(FileNotFoundError):
        os.rename(f"{lab.vms}/xml/{other.uuid}", f"{lab.vms}/{other.uuid}")
        with open(f"{lab.vms}/xml/{other.uuid}", "w"):
            pass


def allow_rename(host, other, lab, uuid):
    if os.path.isdir(f"{lab.vms}/{other.uuid}"):
        os.unlink(f"{lab.vms}/xml/{other.uuid}")
        os.rename(f"{lab.vms}/{other.uuid}", f"{lab.vms}/xml/{other.uuid}")


FAULTS = [
    Fault("virtxd", *daemon_fault("virtxd")),
    Fault("libvirtd", *daemon_fault("libvirtd")),
    Fault("job", lambda host, other, lab, uuid: kill_job(host), nothing),
    Fault("job+virtxd", lambda host, other, lab, uuid: (kill_daemon(host, "virtxd"), kill_job(host)),
          lambda host, other, lab, uuid: host.start("virtxd")),
    Fault("qemu", lambda host, other, lab, uuid: kill_qemu(host, uuid), nothing),
    Fault("host", kill_host, start_host),
    Fault("network", cut, join),
    Fault("rename", block_rename, allow_rename),
]


def cells():
    """(fault, whether it strikes the target, kind, moment): all, or some of each fault."""
    for fault in FAULTS:
        for strikes_target in (False, True):
            if strikes_target and fault.name in ("job", "job+virtxd", "network", "rename"):
                continue  # there is no such thing there, or it is the same
            for kind in (LIVE, COLD):
                if kind == COLD and fault.name == "qemu":
                    continue
                for moment in MOMENTS if kind == LIVE else MOMENTS[1::2]:
                    yield fault, strikes_target, kind, moment


def few(table):
    """The quick ones, in the middle of a live migration, and one of the cold ones."""
    quick = ("virtxd", "job+virtxd", "qemu", "rename")
    return [cell for cell in table if cell[0].name in quick and
            (cell[2:] == (LIVE, 0.6) or cell == (cell[0], False, COLD, 0.6) and
             cell[0].name == "job+virtxd")]


CELLS = list(cells()) if ALL else few(list(cells()))


def name_of(cell):
    fault, strikes_target, kind, moment = cell
    return f"{fault.name}-{'target' if strikes_target else 'source'}-{'cold' if kind == COLD else 'live'}-{moment}"


@pytest.fixture(scope="module")
def took(lab2):  # noqa: F811
    """Seconds that a migration takes, by kind."""
    one, two = lab2.hosts
    uuid = create(one, vmdef("measure"))
    found = {}
    for kind in (COLD, LIVE):
        if kind == LIVE:
            assert two.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
        source, target = (one, two) if kind == COLD else (two, one)
        began = time.monotonic()
        done = operation(source, migrate(source, uuid, target, kind))
        assert done["state"] == "completed", done
        found[kind] = time.monotonic() - began
    remove(lab2, uuid)
    return found


def running(host, uuid):
    """Whether the CPUs of the VM may run on this host."""
    done = host.virsh("domstate", uuid, check=False)
    return done.returncode == 0 and done.stdout.strip() == "running"


def remove(lab, uuid):
    """Delete it by the API alone."""
    def gone():
        lab.hosts[0].api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2})
        return lab.hosts[0].api("DELETE", f"/vms/{uuid}", {"deletestorage": True}).status in (204, 404)
    wait_for(f"VM {uuid} to be deleted", gone, 90, 0.5)
    wait_for("all to be gone", lambda: all(uuid not in domains(host) for host in lab.hosts), 90, 0.5)


def place(lab, uuid):
    """The one host that has the VM by libvirt, registry and every host's answer; None while that is not settled."""
    have = [host for host in lab.hosts if uuid in domains(host)]
    registered = [host for host in lab.hosts if os.path.exists(f"{lab.vms}/xml/{host.uuid}/{uuid}.xml")]
    journals = [host for host in lab.hosts if os.path.exists(f"{lab.vms}/xml/{host.uuid}/{uuid}.journal")]
    if len(have) != 1 or have != registered or journals:
        return None
    answers = [host.api("GET", f"/vms/{uuid}/runstate") for host in lab.hosts]
    if any(answer.status != 200 or answer.json()["host"] != have[0].uuid for answer in answers):
        return None
    states = {RUNSTATES[answer.json()["runstate"]] for answer in answers}
    return (have[0], states.pop()) if len(states) == 1 else None


def boots(host, uuid):
    """Whether it does; what is left of the migration may still be under way."""
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 204 or (answer.status == 409 and "vm-migrate" in answer.text), answer.text
    return answer.status == 204


@pytest.mark.parametrize("cell", CELLS, ids=map(name_of, CELLS))
def test_fault(lab2, took, cell):  # noqa: F811
    fault, strikes_target, kind, moment = cell
    source, target = lab2.hosts
    uuid = create(source, vmdef("fault", osdisk=disk(f"/vms/ds/{name_of(cell)}.qcow2", size=1)))
    if kind == LIVE:
        assert source.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    host, other = (target, source) if strikes_target else (source, target)
    answer = migrate(source, uuid, target, kind)
    assert answer.status == 202, answer.text
    time.sleep(took[kind] * moment)
    fault.kill(host, other, lab2, uuid)
    # Long enough for the other side to act on it.
    deadline = time.monotonic() + took[kind]
    while time.monotonic() < deadline:
        assert not (running(source, uuid) and running(target, uuid))
        time.sleep(0.1)
    fault.mend(host, other, lab2, uuid)
    for each in lab2.hosts:
        wait_ready(each, 120)
    found, state = wait_for("the VM to be in one place", lambda: place(lab2, uuid), 120, 0.2)
    # A VM whose process or host was killed is off, one that was not goes on.
    survives = fault.name not in ("qemu", "host")
    if kind == LIVE and survives:
        wait_for("the VM to run", lambda: running(found, uuid), 30)
    assert state in (("running",) if kind == LIVE and survives else ("running", "poweroff", "crashed")), state
    if (kind == COLD or not survives) and state != "running":
        wait_for("the VM to boot", lambda: boots(found, uuid), 60)
    print(name_of(cell), "->", "target" if found is target else "source", state)
    remove(lab2, uuid)


# Passes on what comes to a port of this machine to the one of libvirtd, and back, each time a while later.
SLOW = """
import socket, threading, time

def pass_on(source, target):
    try:
        while data := source.recv(65536):
            time.sleep(0.4)
            target.sendall(data)
    except OSError:
        pass
    target.close()

listener = socket.create_server(("", 16510))
print("ready", flush=True)
while True:
    client = listener.accept()[0]
    daemon = socket.create_connection(("127.0.0.1", 16509))
    for pair in (client, daemon), (daemon, client):
        threading.Thread(target=pass_on, args=pair, daemon=True).start()
"""


@contextlib.contextmanager
def far_away(host, other):
    """The other host's libvirtd is far from this one."""
    proxy = other.popen(["python3", "-c", SLOW], stdout=subprocess.PIPE, text=True)
    rule = ["OUTPUT", "-p", "tcp", "-d", other.addr, "--dport", "16509", "-j", "DNAT",
            "--to-destination", f"{other.addr}:16510"]
    try:
        assert proxy.stdout.readline() == "ready\n"
        host.run(["iptables", "-t", "nat", "-A", *rule])
        yield
    finally:
        host.run(["iptables", "-t", "nat", "-D", *rule], check=False)
        proxy.kill()
        proxy.wait()


def test_libvirtd_dies_as_the_target_takes_a_vm_in(lab2):  # noqa: F811
    """The source's libvirtd ends between two steps of a cold migration: nothing is left of it on either host."""
    one, two = lab2.hosts
    uuid = create(one, vmdef("between"))
    with far_away(one, two):
        begun = migrate(one, uuid, two, COLD)
        wait_for("the VM on the target", lambda: uuid in domains(two), 30, 0.01)
        one.kill("libvirtd")
        one.start("libvirtd")
        assert operation(one, begun)["state"] == "completed"
    wait_ready(one)
    wait_for("what is left on the source to go", lambda: uuid not in domains(one), 60)
    check_place(lab2, uuid, two, "poweroff")
    assert two.virsh("list", "--all", "--transient", "--uuid").stdout.strip() == ""
    remove(lab2, uuid)


def test_target_libvirt_does_not_answer(lab2):  # noqa: F811
    """A job does not wait for ever for another host: nothing is changed, and the VM can be used."""
    one, two = lab2.hosts
    uuid = create(one, vmdef("mute"))
    two.signal("libvirtd", signal.SIGSTOP)
    try:
        answer = one.api("POST", f"/vms/{uuid}/runstate/migrate", {"host": two.uuid, "migration_type": COLD}, timeout=100)
        done = operation(one, answer) if answer.status == 202 else answer.json()
        assert f"host '{two.uuid}': its libvirt at" in str(done) and "did not answer within" in str(done), done
        assert one.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    finally:
        two.signal("libvirtd", signal.SIGCONT)
    wait_ready(two)
    remove(lab2, uuid)
