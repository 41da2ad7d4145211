# SPDX-License-Identifier: GPL-2.0-or-later
"""virtxd itself: its command line, its signals, a restart under running VMs, jobs by hand."""

import json
import signal

from conftest import BUILD, create, delete, oplog, runstate, vm_told, vmdef, wait_ready, wait_runstate
from lab import wait_for, wrapped

VIRTXD = wrapped([f"{BUILD}/virtxd/virtxd"])


def test_check_config(host):
    assert host.run([*VIRTXD, "--check-config"]).stderr == ""
    with open(host.path("/run/bad.conf"), "w") as file:
        file.write("[http]\nlisten = 127.0.0.1:8080\nlissen = 1\n")
    bad = host.run([*VIRTXD, "--check-config", "-c", "/run/bad.conf"], check=False)
    assert bad.returncode == 1 and "/run/bad.conf:3" in bad.stderr and "lissen" in bad.stderr
    missing = host.run([*VIRTXD, "-c", "/run/none.conf"], check=False)
    assert missing.returncode == 1 and "/run/none.conf" in missing.stderr


def test_plain_listener_must_be_asked_for(host):
    with open(host.path("/run/open.conf"), "w") as file:
        file.write("[http]\nlisten = 0.0.0.0:8080\n")
    refused = host.run([*VIRTXD, "--check-config", "-c", "/run/open.conf"], check=False)
    assert refused.returncode == 1 and "'plain'" in refused.stderr


def test_job_by_hand(host):
    done = host.run([*VIRTXD, "--job", "probe"], input='{"uri": "qemu:///system"}')
    word, _, result = done.stdout.strip().partition(" ")
    assert word == "result" and json.loads(result)["uuid"] == host.uuid
    failed = host.run([*VIRTXD, "--job", "probe"], input='{"uri": "qemu+unix:///system?socket=/x"}',
                      check=False)
    assert failed.returncode == 1 and failed.stdout.startswith("error ")
    assert "probe" in host.run([*VIRTXD, "--job", "list"]).stdout


def test_hangup(host):
    host.configure({"virtxd": {"log_level": "debug"}})
    host.signal("virtxd", signal.SIGHUP)
    wait_for("debug lines", lambda: "debug" in host.log("virtxd").rpartition("read again")[2], 30)
    host.configure({})
    host.signal("virtxd", signal.SIGHUP)


def test_restart_under_a_running_vm(host):
    uuid = create(host, vmdef("restart"))
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    qemu = host.qemu_pid(uuid)
    host.restart("virtxd")
    wait_ready(host)
    assert host.qemu_pid(uuid) == qemu
    assert runstate(host, uuid) == "running"
    wait_for("the disk's size", lambda: vm_told(host, uuid)
             ["def"]["osdisk"]["size"] == 64, 30)

    # What happens while virtxd is away is known when it is back.
    host.kill("virtxd")
    host.virsh("destroy", uuid)
    host.start("virtxd")
    wait_ready(host)
    assert runstate(host, uuid) == "poweroff"
    delete(host, uuid)


def test_stop_while_a_job_runs(host):
    """The job ends by itself, and the next virtxd knows what it did."""
    uuid = create(host, vmdef("stop"))
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot", headers={"Prefer": "respond-async"})
    assert answer.status == 202
    host.restart("virtxd")
    wait_ready(host)
    wait_runstate(host, uuid, "running")
    wait_for("the log to tell the end",
             lambda: oplog(host, uuid)["VmBoot"]["status"] == "completed", 40)
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    delete(host, uuid)


def test_shutdown_is_completed_by_the_next_virtxd(host):
    """virtxd is killed after the power button was pressed: the log tells the end all the same."""
    uuid = create(host, vmdef("later"))
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    # Its disk is empty: nobody obeys the button.
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 0}).status == 202
    assert oplog(host, uuid)["VmShutdown"]["status"] == "started"
    host.kill("virtxd")
    host.virsh("destroy", uuid)
    host.start("virtxd")
    wait_ready(host)
    wait_for("the log to be healed",
             lambda: oplog(host, uuid)["VmShutdown"]["status"] == "completed", 30)
    delete(host, uuid)


def test_events_from_virsh(host):
    """What others do to a VM is seen without waiting for a collection."""
    uuid = create(host, vmdef("virsh"))
    for action, state in (("start", "running"), ("suspend", "paused"), ("resume", "running"),
                          ("destroy", "poweroff")):
        host.virsh(action, uuid)
        wait_runstate(host, uuid, state, 3)
    delete(host, uuid)


def test_one_operation_at_a_time(host):
    """The second request on a VM that is busy is a 409 that names the first's operation."""
    uuid = create(host, vmdef("busy"))
    first = host.api("POST", f"/vms/{uuid}/runstate/boot", headers={"Prefer": "respond-async"})
    second = host.api("DELETE", f"/vms/{uuid}", {"deletestorage": True})
    assert (first.status, second.status) == (202, 409), second.text
    assert second.json()["operation"] == first.json()["id"]
    assert first.headers["Location"] == f"/operations/{first.json()['id']}"
    wait_for("the boot", lambda: host.api("GET", first.headers["Location"]).json()["te"] > 0, 60)
    host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2})
    wait_runstate(host, uuid, "poweroff")
    delete(host, uuid)


def test_many_jobs_queue(host):
    """More creates at once than jobs may run: all are done, none is lost."""
    answers = []
    for n in range(40):
        body = {"vmdef": vmdef(f"many{n}", osdisk={"path": f"/vms/ds/many{n}.raw", "man": 1,
                                                   "prov": 1, "size": 1}), "host": ""}
        answers.append(host.api("POST", "/vms", body, headers={"Prefer": "respond-async"}))
    assert {answer.status for answer in answers} == {202}
    vms = []
    for answer in answers:
        location = answer.headers["Location"]
        wait_for("an operation", lambda: host.api("GET", location).json()["te"] > 0, 120)
        operation = host.api("GET", location).json()
        assert operation["state"] == "completed", operation
        vms.append(operation["vm"])
    # Beside so many others sanlock's answer may have come late.
    wait_ready(host)
    for uuid in vms:
        delete(host, uuid)
