# SPDX-License-Identifier: GPL-2.0-or-later
"""virtx that waits for VMs and operations, against a stand-in for the server: how it ends, and what Ctrl-C leaves."""

import json
import signal
import subprocess

import pytest
from cli import LATER, OPERATION, UUID, VIRTX, fails, ok, problem, server, virtx  # noqa: F401
from lab import wait_for

STARTED = (200, {"id": OPERATION, "op": "VmBoot", "state": "started", "vm": UUID, "progress": -1})


def state(number):
    return (200, {"runstate": number, "host": "", "reason": "", "last": 0})


def test_exit_codes(server):
    server.answer(state(3), state(4))
    assert ok("wait", "vm", "--for", "running", UUID, server=server) == ""
    assert [r.path for r in server.requests] == [f"/vms/{UUID}/runstate"] * 2
    assert fails(8, "wait", "vm", "--for", "poweroff", "--timeout", "1", UUID, server=server) == (
        f"virtx: waiting for vm '{UUID}': it is running, not poweroff, after 1 s; 'virtx get vm {UUID}' shows it\n")
    server.answer(problem(404, "no VM is known"), (200, {"items": []}))
    assert ok("wait", "vm", "--for", "gone", UUID, server=server) == ""
    server.answer(problem(404, "no VM is known"), (200, {"items": []}))
    assert "it is gone" in fails(3, "wait", "vm", "--for", "running", UUID, server=server)
    server.answer((200, {"items": []}))
    assert ok("wait", "vm", "--for", "gone", "web", server=server) == ""
    fails(3, "wait", "vm", "--for", "running", "web", server=server)
    fails(7, "wait", "vm", "--for", "gone", UUID, "-A", "127.0.0.1:1")
    fails(2, "wait", "vm", UUID, server=server)


def test_operation(server):
    server.answer(STARTED, (200, {**STARTED[1], "state": "completed"}))
    assert ok("wait", "operation", OPERATION, server=server) == ""
    server.answer((200, {**STARTED[1], "state": "failed", "msg": "no space"}))
    assert fails(1, "wait", "operation", OPERATION, server=server) == f"virtx: operation '{OPERATION}' failed: no space\n"
    server.answer(problem(404, "no such operation"))
    fails(3, "wait", "operation", OPERATION, server=server)
    server.answer(STARTED)
    assert fails(8, "wait", "operation", OPERATION, "--timeout", "1", server=server) == (
        f"virtx: operation '{OPERATION}' goes on: not ended within 1 s; 'virtx wait operation {OPERATION}' waits for "
        f"its end, 'virtx get operation {OPERATION}' shows it\n")


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("args,answers,said", [
    (["wait", "vm", "--for", "poweroff", UUID], [state(4)],
     f"waiting for vm '{UUID}': it is running, not poweroff, when that was interrupted; 'virtx get vm {UUID}' shows it"),
    (["wait", "operation", OPERATION], [STARTED],
     f"operation '{OPERATION}' goes on: interrupted; 'virtx wait operation {OPERATION}' waits for its end, "
     f"'virtx get operation {OPERATION}' shows it"),
    (["shutdown", "vm", "--wait", UUID], [(202, b""), state(4)],
     f"waiting for vm '{UUID}': it is running, not off, when that was interrupted; its guest was asked to shut down; "
     f"'virtx wait vm --for poweroff {UUID}' waits on, 'virtx shutdown vm -ff {UUID}' ends it"),
    (["boot", "vm", UUID], [LATER, STARTED],
     f"operation '{OPERATION}' goes on: interrupted; 'virtx wait operation {OPERATION}' waits for its end, "
     f"'virtx get operation {OPERATION}' shows it"),
])
def test_interrupted(server, args, answers, said, signo):
    for options, read in ([], str), (["-o", "json"], json.loads):
        server.answer(*answers)
        server.requests.clear()
        process = subprocess.Popen(
            [*VIRTX, "-A", f"127.0.0.1:{server.server_port}", *args, *options], text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(signo, signal.SIG_DFL))
        wait_for("it to have looked twice", lambda: len(server.requests) > len(answers) + 1, 60)
        process.send_signal(signo)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (8, "")
        assert read(err) == (f"virtx: {said}\n" if not options else {
            "code": 8, "status": 0, "detail": said,
            **({"operation": OPERATION} if "operation '" in said else {"vm": UUID})})


def test_an_ignored_signal_stays_so(server):
    """As by nohup(1), and under a shell that started it in the background."""
    server.answer(state(4))
    process = subprocess.Popen(
        [*VIRTX, "-A", f"127.0.0.1:{server.server_port}", "wait", "vm", "--for", "poweroff", UUID], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    wait_for("it to have looked", lambda: server.requests, 60)
    process.send_signal(signal.SIGINT)
    seen = len(server.requests)
    wait_for("it to look on", lambda: len(server.requests) > seen + 1, 60)
    server.answer(state(2))
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0
