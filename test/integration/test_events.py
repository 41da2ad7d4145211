# SPDX-License-Identifier: GPL-2.0-or-later
"""GET /events on real sockets."""

import json
import time

import conftest
from lab import wait_for


class Stream:
    """One reader; a chunked body read as lines."""

    def __init__(self, host, last=None, timeout=30):
        self.sock = host.connect(timeout=timeout) if timeout else host.connect()
        last = f"Last-Event-ID: {last}\r\n" if last else ""
        self.sock.sendall(f"GET /events HTTP/1.1\r\nHost: x\r\n{last}\r\n".encode())
        self.file = self.sock.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while (line := self.file.readline().strip()):
            name, value = line.decode().split(": ", 1)
            self.headers[name] = value
        self.text = b""

    def line(self):
        while b"\n" not in self.text:
            size = int(self.file.readline(), 16)
            assert size, "the stream has ended"
            self.text += self.file.read(size)
            self.file.readline()
        line, _, self.text = self.text.partition(b"\n")
        return line.decode()

    def event(self):
        """The next one, as (id, type, data)."""
        fields = {}
        while True:
            line = self.line()
            if line.startswith(":"):
                continue
            if not line:
                if "event" in fields:
                    return fields["id"], fields["event"], json.loads(fields["data"])
                fields = {}
                continue
            name, _, value = line.partition(": ")
            fields[name] = value

    def until(self, wanted, timeout=30):
        """The next event for which wanted(type, data) holds."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            number, kind, data = self.event()
            if wanted(kind, data):
                return number, data
        raise AssertionError("no such event")

    def close(self):
        self.file.close()
        self.sock.close()


def test_life_is_told_everywhere(lab3):
    streams = [Stream(host) for host in lab3.hosts]
    for stream in streams:
        assert stream.status == 200
        assert stream.headers["Content-Type"] == "text/event-stream"
        assert stream.event()[1] == "reset"
    uuid = conftest.create(lab3.hosts[0], conftest.vmdef("ev0"))
    started = time.monotonic()
    for state, act in ((2, None), (4, ("POST", "boot")), (5, ("POST", "pause")),
                       (2, ("DELETE", "boot"))):
        if act:
            body = {"force": 2} if act[0] == "DELETE" else None
            answer = lab3.hosts[0].api(act[0], f"/vms/{uuid}/runstate/{act[1]}", body)
            assert answer.status == 204, answer.text
        for stream in streams:
            stream.until(lambda kind, data: kind == "vm" and data["uuid"] == uuid
                         and data["fields"]["runstate"] == state)
    print(f"four states on three hosts in {time.monotonic() - started:.1f} s")
    conftest.delete(lab3.hosts[0], uuid)
    for stream in streams:
        stream.until(lambda kind, data: kind == "vm" and data["uuid"] == uuid
                     and data["fields"]["runstate"] == 1)
        stream.close()


def test_operations_and_resume(lab3):
    h1 = lab3.hosts[0]
    stream = Stream(h1)
    stream.event()
    uuid = conftest.create(h1, conftest.vmdef("ev1"))
    last, data = stream.until(lambda kind, data: kind == "operation"
                              and data["state"] == "completed")
    assert data["op"] == "VmCreate" and data["vm"] == uuid and data["host"] == h1.uuid
    stream.close()
    # What came while away.
    conftest.delete(h1, uuid)
    stream = Stream(h1, last)
    _, kind, data = stream.event()
    assert kind != "reset"
    number, _ = stream.until(lambda kind, data: kind == "operation" and data["op"] == "VmDelete"
                             and data["state"] == "completed")
    assert int(number.split("-")[1]) > int(last.split("-")[1])
    stream.close()
    # The daemon's next run has other numbers.
    h1.restart("virtxd")
    conftest.wait_ready(h1)
    stream = Stream(h1, number)
    assert stream.event()[1] == "reset"
    stream.close()


def test_stream_outlives_the_timeouts(lab3):
    h1 = lab3.hosts[0]
    stream = Stream(h1, timeout=60)
    stream.event()
    end = time.monotonic() + 35
    beats = 0
    while time.monotonic() < end and beats < 2:
        beats += stream.line().startswith(":")
    assert beats == 2
    stream.close()


def test_bound_and_slow_readers(lab3):
    h1 = lab3.hosts[0]
    readers = [Stream(h1) for _ in range(128)]
    assert all(reader.status == 200 for reader in readers)
    extra = Stream(h1)
    assert extra.status == 503
    extra.close()
    assert h1.api("GET", "/vms", timeout=5).status == 200
    for reader in readers:
        reader.close()

    def is_free():
        stream = Stream(h1)
        stream.close()
        return stream.status == 200
    wait_for("a stream to be free", is_free, 10)
