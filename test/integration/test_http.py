# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients that misbehave: memory stays bounded, and others are served."""

import resource
import time

from conftest import wait_ready
from lab import wait_for

MAX_CONNECTIONS = 1024  # virtxd's default


def private_kib(host):
    """Private memory of virtxd."""
    total = 0
    with open(f"/proc/{host.pid('virtxd')}/smaps_rollup") as file:
        for line in file:
            if line.startswith(("Private_Clean", "Private_Dirty")):
                total += int(line.split()[1])
    return total


def head(sock, limit=65536):
    """What the server sends until it closes, or the head of its answer."""
    data = b""
    while b"\r\n\r\n" not in data and len(data) < limit:
        try:
            part = sock.recv(4096)
        except ConnectionResetError:
            break
        if not part:
            break
        data += part
    return data


def post(host, body):
    """Sends a body of any size, and reads the answer even where it comes early."""
    sock = host.connect()
    try:
        sock.sendall(b"POST /vms HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %d\r\n\r\n" % len(body))
        sock.sendall(body)
    except (BrokenPipeError, ConnectionResetError):
        pass
    answer = head(sock)
    sock.close()
    return answer


def is_served(host):
    return host.api("GET", "/vms", timeout=5).status == 200


def test_bodies(host):
    before = private_kib(host)
    for _ in range(20):
        assert b" 400 " in post(host, b"[" * (1024 * 1024 - 1))
        answer = post(host, b"x" * (2 * 1024 * 1024))
        assert answer == b"" or b" 413 " in answer
        assert is_served(host)
    assert private_kib(host) - before < 16 * 1024


def test_endless_header(host):
    """Refused early; what is sent all the same is thrown away, not kept."""
    before = private_kib(host)
    sock = host.connect()
    sock.sendall(b"GET /vms HTTP/1.1\r\n")
    sent = 0
    try:
        while sent < 64 * 1024 * 1024:
            sock.sendall(b"X-A: " + b"a" * 4096 + b"\r\n")
            sent += 4096
            assert sent % (1024 * 1024) or private_kib(host) - before < 16 * 1024
    except (BrokenPipeError, ConnectionResetError):
        pass
    answer = head(sock)
    assert answer == b"" or b" 400 " in answer or b" 431 " in answer
    sock.close()
    assert is_served(host)


def test_slow_client(lab1, host):
    host.configure({"http": {"request_timeout": 3}})
    host.restart("virtxd")
    wait_ready(host)
    sock = host.connect(timeout=1)
    started = time.monotonic()
    request = iter(b"GET /vms HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * 1000)

    def is_closed():
        assert is_served(host)
        try:
            sock.sendall(bytes([next(request)]))
            return False
        except (BrokenPipeError, ConnectionResetError):
            return True

    wait_for("the slow client to be closed", is_closed, 20)
    assert time.monotonic() - started < 15
    host.configure({})
    host.restart("virtxd")
    wait_ready(host)


def is_open(sock):
    """Whether the connection is neither answered nor closed."""
    sock.setblocking(False)
    try:
        sock.recv(4096)
        return False
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


def test_many_connections(host):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000), hard))
    sockets = []
    try:
        before = private_kib(host)
        for n in range(10000):
            sock = host.connect(timeout=5)
            sockets.append(sock)
            if n % 1000 == 999:
                assert private_kib(host) - before < 64 * 1024
        # One that comes too soon is refused, else the oldest that waits is closed for it.
        wait_for("all beyond max_connections to be refused or closed",
                 lambda: sum(map(is_open, sockets)) <= MAX_CONNECTIONS, 20)
        wait_for("others to be served", lambda: is_served_once(host), 20)
    finally:
        for sock in sockets:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_for("the API", lambda: is_served_once(host), 30)


def is_served_once(host):
    try:
        return is_served(host)
    except OSError:
        return False


def test_hang_up(host):
    """A client that goes away while its job runs: the job ends, and nothing leaks or crashes."""
    body = b'{"force": 0}'
    uuid = b"00000000-0000-4000-8000-00000000dead"
    for _ in range(200):
        sock = host.connect()
        sock.sendall(b"DELETE /vms/%s/runstate/boot HTTP/1.1\r\nHost: localhost\r\n"
                     b"Content-Type: application/json\r\nContent-Length: %d\r\n"
                     b"\r\n%s" % (uuid, len(body), body))
        sock.close()
    assert is_served(host)
