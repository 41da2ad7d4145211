# SPDX-License-Identifier: GPL-2.0-or-later
"""A daemon that is stopped: every GET is answered as fast as before, and all works again without a restart."""

import os
import signal
import statistics
import time

import pytest
from conftest import create, delete, runstate, vmdef, wait_ready
from lab import PATIENCE, wait_for

# Long enough for virtxd to say that sanlock does not answer.
SECONDS = max(float(os.environ.get("VIRTX_OUTAGE_SECONDS", "30")), 20 * PATIENCE)
PAUSE = SECONDS / 2000  # between requests, before as during: what was idle for a while is slower
REQUEST = b"GET /vms HTTP/1.1\r\nHost: localhost\r\n\r\n"


def answer(sock):
    """One answer of a kept-alive connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        assert part, "the connection was closed"
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                  if line.lower().startswith(b"content-length"))
    while len(body) < length:
        body += sock.recv(65536)
    return head


def ask(sock):
    """Seconds that one GET /vms took."""
    time.sleep(PAUSE)
    started = time.monotonic()
    sock.sendall(REQUEST)
    assert answer(sock).startswith(b"HTTP/1.1 200")
    return time.monotonic() - started


@pytest.mark.parametrize("daemon", ["libvirtd", "sanlock", "serf"])
def test_stopped(lab1, host, daemon):
    uuid = create(host, vmdef("outage"))
    virtxd = host.pid("virtxd")
    sock = host.connect()
    before = [ask(sock) for _ in range(300)]
    host.signal(daemon, signal.SIGSTOP)
    during = []
    ends = time.monotonic() + SECONDS
    while len(during) < 1000 or time.monotonic() < ends:
        during.append(ask(sock))
    sock.close()
    seen = host.api("GET", "/readyz")
    host.signal(daemon, signal.SIGCONT)
    print(f"{daemon}: {len(during)} requests, median {statistics.median(during) * 1000:.2f} ms "
          f"(before: {statistics.median(before) * 1000:.2f}), "
          f"the slowest {max(during) * 1000:.1f} ms (before: {max(before) * 1000:.1f})")
    # One request that waited for the daemon would have taken the outage's time.
    assert max(during) < SECONDS / 50
    assert statistics.median(during) < 10 * statistics.median(before)
    assert seen.status == 503, seen.text
    wait_ready(host)
    assert host.pid("virtxd") == virtxd
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_for("the VM to be off", lambda: runstate(host, uuid) == "poweroff")
    delete(host, uuid)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return len(file.read().split())


def test_many_look(lab1, host):
    """What many ask at once of a libvirt that is silent is not a process for each of them."""
    uuid = create(host, vmdef("looked"))
    socks, plan = [host.connect() for _ in range(120)], host.connect()
    host.signal("libvirtd", signal.SIGSTOP)
    try:
        most = 0
        for sock in socks:
            sock.sendall(f"GET /vms/{uuid}/runstate/migrate HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            most = max(most, children(host.pid("virtxd")))
        # Those who ask for something else are not kept from it.
        plan.sendall(f"POST /hosts/{host.uuid}/maintenance?dry_run=true HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        refused = 0
        for sock in socks[40:]:
            sock.settimeout(10)
            refused += answer(sock).startswith(b"HTTP/1.1 503")
        most = max(most, children(host.pid("virtxd")))
    finally:
        host.signal("libvirtd", signal.SIGCONT)
    assert refused == len(socks) - 40 and most <= 48, (refused, most)
    plan.settimeout(60)
    assert answer(plan).startswith(b"HTTP/1.1 200")
    for sock in socks[:32]:
        sock.settimeout(60)
        answer(sock)
        sock.close()
    wait_ready(host)
    assert host.api("GET", f"/vms/{uuid}/runstate/migrate").status == 200
    delete(host, uuid)


def test_libvirt_is_late(host):
    """A libvirtd that takes long for its first answer, as when the host boots, is waited for, and said to be awaited."""
    host.stop("virtxd")
    host.signal("libvirtd", signal.SIGSTOP)
    host.start("virtxd")
    wait_for("virtxd to miss libvirt", lambda: "does not answer" in host.api("GET", "/readyz").json()["libvirt"], 30)
    host.signal("libvirtd", signal.SIGCONT)
    wait_ready(host)


def test_start_tells_no_empty_truth(host):
    """A virtxd that has just started lists no VMs before libvirt has told all of this host's, whatever else is known."""
    uuid = create(host, vmdef("here"))
    host.kill("virtxd")
    host.launch("virtxd")
    seen = []

    def listed():
        try:
            seen.append(host.api("GET", "/vms"))
        except OSError:
            return False
        return seen[-1].status == 200

    wait_for("the VMs", listed, 30, 0.002)
    assert [item["uuid"] for item in seen[-1].json()["items"]] == [uuid], seen[-1].text
    for answer in seen[:-1]:
        assert answer.status == 503 and answer.headers["Retry-After"] == "1", answer.text
    wait_ready(host)
    delete(host, uuid)
