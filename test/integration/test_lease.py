# SPDX-License-Identifier: GPL-2.0-or-later
"""The lockspace and the leases, by the code that virtxd's jobs run, on the real sanlock."""

import os
import shutil
import signal
import stat
import subprocess

import pytest

from conftest import BUILD, PREFIX
from lab import Lab, wait_for, wrapped

TOOL = wrapped([f"{BUILD}/test/integration/lease_tool"])
CHECK = wrapped([f"{BUILD}/lvbcheck/virtx-check-lvb"])
SPACE = "__VIRTX__DISKS__"
VM = "5a1f3c7e-9b52-4d0a-8f3e-0c1d2e3f4a5b"
OTHER = "00000001-1111-4222-8333-444444444444"
LVB = 2002 * 512


def tool(host, verb, *args, timeout=60):
    """Run the tool: (exit code, what it said)."""
    done = host.run([*TOOL, verb, "/vms", *args], input="", check=False, timeout=timeout)
    return done.returncode, (done.stdout + done.stderr).strip()


def start(host, verb, *args):
    """Start the tool, which ends at the end of its stdin."""
    return host.popen([*TOOL, verb, "/vms", *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                      stderr=subprocess.PIPE, text=True)


def hold(host, name, uuid):
    """A process that holds the lease."""
    holder = start(host, "hold", name, uuid)
    assert holder.stdout.readline() == "held\n"
    return holder


def leave(host):
    """Take a host out of the lockspace."""
    code, said = tool(host, "state")
    state, host_id = said.split()
    if state == "joined":
        host.run(["sanlock", "client", "rem_lockspace", "-s",
                  f"{SPACE}:{host_id}:/vms/lock/{SPACE}:0"])


def is_clean(host):
    """Nothing of ours is left in the daemon."""
    status = host.sanlock_status()
    return status["resources"] == [] and all(p.startswith("-1 ") for p in status["processes"])


def wait_clean(*hosts):
    """The daemon notices a little later that a process has ended."""
    for host in hosts:
        wait_for(f"sanlock of {host.name} to be clean", lambda: is_clean(host), 10)


def hidden(lab):
    """Temporary directories and leftovers."""
    return [name for place in (lab.vms, f"{lab.vms}/lock")
            for name in os.listdir(place) if name.startswith(".")]


@pytest.fixture(scope="module")
def bare():
    """Three hosts without virtxd, none of them in a lockspace."""
    with Lab(3, build_dir=BUILD, name=f"{PREFIX}lease", virtxd=False) as lab:
        yield lab


@pytest.fixture(scope="module")
def joined(bare):
    """The same, the hosts joined with 11, 12 and 13."""
    tools = [start(host, "join", str(10 + host.n), "1") for host in bare.hosts]
    assert [tool.communicate(timeout=60)[0] for tool in tools] == ["11\n", "12\n", "13\n"]
    return bare


def test_join_race(bare):
    """All hosts find no lockspace at the same moment: one makes it, all are in it."""
    for _ in range(3):
        tools = [start(host, "join", str(20 + host.n), "1") for host in bare.hosts]
        said = [tool.communicate(timeout=60) for tool in tools]
        assert said == [("21\n", ""), ("22\n", ""), ("23\n", "")]
        assert sorted(os.listdir(bare.vms)) == ["ds", "lock"]
        assert os.listdir(f"{bare.vms}/lock") == [SPACE]
        for host in bare.hosts:
            leave(host)
        shutil.rmtree(f"{bare.vms}/lock")


def test_join_twice(joined):
    host = joined.hosts[0]
    assert tool(host, "state") == (0, "joined 11")
    assert tool(host, "join", "99", "1") == (0, "11")
    status = os.stat(f"{joined.vms}/lock")
    assert stat.S_IMODE(status.st_mode) == 0o2771
    assert stat.S_IMODE(os.stat(f"{joined.vms}/lock/{SPACE}").st_mode) == 0o660


def test_create(joined):
    h1, h2, _ = joined.hosts
    assert tool(h1, "create", "made", VM) == (0, "")
    assert tool(h2, "owner", "made") == (0, VM)
    assert tool(h2, "list") == (0, "made")
    assert stat.S_IMODE(os.stat(f"{joined.vms}/lock/made").st_mode) == 0o2770
    path = f"{joined.vms}/lock/made/made"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    with open(path, "rb") as file:
        file.seek(LVB)
        assert file.read(512) == VM.encode().ljust(512, b"\0")

    code, said = tool(h2, "create", "made", OTHER)
    assert code == 1 and said == f"507 resource 'made' exists already, and belongs to VM '{VM}'"
    assert tool(h2, "owner", "made") == (0, VM)
    assert tool(h1, "delete", "made", VM) == (0, "")
    assert hidden(joined) == []


def test_create_race(joined):
    """Two hosts make the same resource: one has it, the other is told who."""
    for _ in range(5):
        tools = [start(joined.hosts[0], "create", "raced", VM),
                 start(joined.hosts[1], "create", "raced", OTHER)]
        codes = [(tool.communicate(timeout=60)[1], tool.returncode) for tool in tools]
        winner = VM if codes[0][1] == 0 else OTHER
        assert sorted(code for _, code in codes) == [0, 1]
        assert winner in codes[0][0] + codes[1][0]
        assert hidden(joined) == []
        assert tool(joined.hosts[2], "owner", "raced") == (0, winner)
        assert tool(joined.hosts[2], "delete", "raced", winner) == (0, "")


def test_acquire(joined):
    h1, h2, _ = joined.hosts
    assert tool(h1, "create", "busy", VM) == (0, "")
    code, said = tool(h1, "hold", "busy", OTHER)
    assert code == 1 and said == f"409 resource 'busy' belongs to VM '{VM}'"
    wait_clean(h1)

    with hold(h1, "busy", VM) as holder:
        code, said = tool(h1, "hold", "busy", VM)
        assert code == 1
        assert said == "409 resource 'busy' is held by a process of this host (the VM is running)"
        code, said = tool(h2, "hold", "busy", VM)
        assert code == 1 and said.startswith("409 resource 'busy' is held by host_id 11")
        code, said = tool(h2, "delete", "busy", VM)
        assert code == 1 and said.startswith("409 ")
        assert tool(h2, "owner", "busy") == (0, VM)
        holder.kill()
    wait_for("the lease of a killed process to be free",
             lambda: tool(h2, "hold", "busy", VM)[0] == 0, 10)

    assert tool(h2, "delete", "busy", VM) == (0, "")
    code, said = tool(h2, "hold", "busy", VM)
    assert code == 1 and said.startswith("404 cannot find the lease '/vms/lock/busy/busy'")
    wait_clean(h1, h2)


def test_delete(joined):
    """Nothing is left of it, on storage or in the daemon, and its name can be used again."""
    h1, h2, _ = joined.hosts
    for host in (h1, h2):
        assert tool(host, "create", "gone", VM) == (0, "")
        assert tool(host, "delete", "gone", VM) == (0, "")
        wait_clean(host)
        assert os.listdir(f"{joined.vms}/lock") == [SPACE]
        assert tool(host, "owner", "gone")[1].startswith("404 ")


def test_no_owner(joined):
    """A resource that nobody owns, or one that is damaged, is given to nobody."""
    h1, h2, _ = joined.hosts
    path = f"{joined.vms}/lock/spoilt/spoilt"
    assert tool(h1, "create", "spoilt", VM) == (0, "")
    with open(path, "r+b") as file:
        file.seek(LVB)
        file.write(bytes(512))
    code, said = tool(h1, "hold", "spoilt", VM)
    assert code == 1 and said == "409 resource 'spoilt' has no owner"
    with open(path, "r+b") as file:
        file.truncate(0)
        file.truncate(1 << 20)
    code, said = tool(h2, "hold", "spoilt", VM)
    assert code == 1 and "Lease does not exist on storage" in said
    wait_clean(h1, h2)
    shutil.rmtree(f"{joined.vms}/lock/spoilt")


def test_undo(joined):
    """A creation that is killed half-way leaves only what undo removes."""
    host = joined.hosts[0]
    file = f"{joined.vms}/lock/.half.{VM}/half"
    host.signal("sanlock", signal.SIGSTOP)
    try:
        with start(host, "create", "half", VM) as creator:
            # An empty directory is taken over by the next creation.
            wait_for("the lease's file", lambda: os.path.exists(file), 10)
            assert hidden(joined) == [f".half.{VM}"]
            creator.kill()
    finally:
        host.signal("sanlock", signal.SIGCONT)
    wait_clean(host)
    code, said = tool(host, "create", "half", VM)
    assert code == 1 and "a leftover of an earlier operation" in said
    assert tool(host, "undo", "half", OTHER) == (0, "")
    assert tool(host, "undo", "half", VM) == (0, "")
    assert hidden(joined) == []

    # And a deletion that ended after its rename.
    assert tool(host, "create", "half", VM) == (0, "")
    os.rename(f"{joined.vms}/lock/half", f"{joined.vms}/lock/.half.{VM}.deleted")
    assert tool(host, "list") == (0, "")
    assert tool(host, "undo", "half", VM) == (0, "")
    assert os.listdir(f"{joined.vms}/lock") == [SPACE]


def test_not_joined(joined):
    """Without lockspace or daemon the error is a 503 that says which."""
    host = joined.hosts[2]
    assert tool(host, "create", "other", VM) == (0, "")
    leave(host)
    assert tool(host, "state") == (0, "absent 0")
    code, said = tool(host, "hold", "other", VM)
    assert code == 1 and said.startswith("503 this host is not in the lockspace")
    host.kill("sanlock")
    try:
        code, said = tool(host, "hold", "other", VM)
        assert code == 1 and said.startswith("503 the sanlock daemon does not answer")
        assert tool(host, "state")[1].startswith("503 ")
    finally:
        host.start("sanlock")
    assert tool(host, "join", "13", "1") == (0, "13")
    assert tool(host, "delete", "other", VM) == (0, "")


def test_dead_host(joined):
    """The lease of a host that died is refused at once, not waited for."""
    h1, h2, h3 = joined.hosts
    assert tool(h3, "create", "dead", VM) == (0, "")
    with hold(h3, "dead", VM) as holder:
        h3.kill("sanlock")
        code, said = tool(h2, "hold", "dead", VM, timeout=10)
        assert code == 1 and said.startswith("409 resource 'dead' is held by host_id 13")
        holder.kill()
    h3.start("sanlock")
    # Under the same name its old lease is its own.
    assert tool(h3, "join", "13", "1") == (0, "13")
    assert tool(h3, "delete", "dead", VM) == (0, "")


def test_join_busy_id(joined):
    """An id that another host uses is passed by; sanlock waits 8 x io_timeout + 60 s for that."""
    host = joined.hosts[1]
    leave(host)
    assert tool(host, "join", "11", "1", timeout=150) == (0, "12")


def check_lvb(host, *args):
    """The exit code of virtx-check-lvb."""
    return host.run([*CHECK, *args], check=False).returncode


def test_check_lvb(joined):
    host = joined.hosts[1]
    assert tool(joined.hosts[0], "create", "lvb", VM) == (0, "")
    path = "/vms/lock/lvb/lvb"
    assert check_lvb(host, path, VM) == 0
    with hold(joined.hosts[0], "lvb", VM) as holder:
        assert check_lvb(host, path, VM) == 0
        holder.stdin.close()
    assert check_lvb(host, path, OTHER) == 1
    assert check_lvb(host, path, VM.upper()) == 1
    assert check_lvb(host, path, VM[:-1]) == 1
    assert check_lvb(host, path, VM + "0") == 1
    assert check_lvb(host, path, "") == 1
    assert check_lvb(host, path) == 1
    assert check_lvb(host) == 1
    assert check_lvb(host, path, VM, VM) == 1
    assert check_lvb(host, "/vms/lock/none/none", VM) == 1
    assert check_lvb(host, "/vms/lock/lvb", VM) == 1
    assert check_lvb(host, "/dev/null", VM) == 1

    own = f"{joined.vms}/lock/lvb/lvb"
    with open(own, "r+b") as file:
        file.seek(LVB + 36)
        file.write(b"x")
    assert check_lvb(host, path, VM) == 1
    with open(own, "r+b") as file:
        file.seek(LVB)
        file.write(bytes(512))
    assert check_lvb(host, path, VM) == 1
    assert check_lvb(host, path, "") == 1
    os.truncate(own, LVB + 100)
    assert check_lvb(host, path, VM) == 1
    os.truncate(own, 0)
    assert check_lvb(host, path, VM) == 1
    os.mkfifo(f"{joined.vms}/lock/lvb/fifo")
    assert check_lvb(host, "/vms/lock/lvb/fifo", VM) == 1
    shutil.rmtree(f"{joined.vms}/lock/lvb")
