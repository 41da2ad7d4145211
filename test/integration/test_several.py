# SPDX-License-Identifier: GPL-2.0-or-later
"""virtx for several VMs, against a stand-in for the server: what a terminal is asked, and what Ctrl-C leaves."""

import os
import pty
import re
import signal
import subprocess
import threading

import pytest
from cli import VIRTX, Handler, StandIn, fails, problem, server, virtx  # noqa: F401

UUIDS = {name: f"{i}1111111-2222-3333-4444-555555555555" for i, name in enumerate(("web", "db", "mail"), 1)}
VM_LIST = {"items": [{"uuid": uuid, "fields": {"name": name, "runstate": 2}} for name, uuid in UUIDS.items()]}


class SlowHandler(Handler):
    """Tells when a changing request has come, and then answers none."""

    def handle_slowly(self):
        self.server.come.release()
        self.server.go.wait(60)
        self.close_connection = True

    do_POST = do_DELETE = handle_slowly


@pytest.fixture
def slow_server():
    server = StandIn()
    server.RequestHandlerClass = SlowHandler
    server.come, server.go = threading.Semaphore(0), threading.Event()
    server.answer((200, VM_LIST))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.go.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_exit_codes(server):
    server.answer((200, VM_LIST), problem(409, "busy"), (204, b""))
    result = virtx("boot", "vm", "--parallel", "1", "--all", server=server)
    assert (result.returncode, result.stdout, result.stderr) == (
        4, "web: 409: busy\ndb: running\nmail: running\n", "virtx: 2 done, 1 failed\n")
    server.answer((200, VM_LIST))
    assert "no VM fits --filter 'name=x'" in fails(3, "boot", "vm", "--filter", "name=x", server=server)
    assert "--yes" in fails(2, "delete", "vm", "--all", server=server)
    assert {r.method for r in server.requests[-2:]} == {"GET"}


def test_already(server):
    """A second "all on" is as good as the first one; a name that is given is refused."""
    running = problem(424, "it is running already", type="/problems/already-running")
    server.answer((200, VM_LIST), running)
    result = virtx("boot", "vm", "--parallel", "1", "--all", server=server)
    assert (result.returncode, result.stdout, result.stderr) == (
        0, "".join(f"{name}: already running\n" for name in UUIDS), "virtx: 3 done\n")
    server.answer((200, VM_LIST), running)
    result = virtx("boot", "vm", "--parallel", "1", "web", "db", server=server)
    assert (result.returncode, result.stderr) == (1, "virtx: 0 done, 2 failed\n")


@pytest.mark.parametrize("answer,code,done", [("y", 0, 3), ("n", 1, 0)])
def test_a_terminal_is_asked_once(server, answer, code, done):
    server.answer((200, VM_LIST), (204, b""))
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*VIRTX, "-A", f"127.0.0.1:{server.server_port}", "delete", "vm", "--all"], stdin=slave,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.close(slave)
    asked = b""
    while not asked.endswith(b"[y/N] "):
        more = os.read(process.stderr.fileno(), 4096)
        assert more, asked
        asked += more
    assert asked == b"Delete 3 VMs: web, db, mail? [y/N] "
    os.write(master, answer.encode() + b"\n")
    out, _ = process.communicate(timeout=60)
    os.close(master)
    assert process.returncode == code
    assert len(re.findall("(?m)^(web|db|mail): deleted$", out.decode())) == done
    assert sum(r.method == "DELETE" for r in server.requests) == done


def test_interrupted(slow_server):
    """What waits is ended, what has not begun is left, and both are told."""
    process = subprocess.Popen(
        [*VIRTX, "-A", f"127.0.0.1:{slow_server.server_port}", "boot", "vm", "--parallel", "2", "--all"],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        # Who runs the tests in the background may have it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    for _ in range(2):
        assert slow_server.come.acquire(timeout=60)
    os.killpg(process.pid, signal.SIGINT)
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (8, "web: may go on\ndb: may go on\nmail: not begun\n")
    assert said == ("virtx: interrupted: 0 done, 0 failed, 2 may go on, 1 not begun; 'virtx list operation' "
                    "shows what goes on\n")
    assert not slow_server.come.acquire(blocking=False)
