# SPDX-License-Identifier: GPL-2.0-or-later
"""GET /events on real sockets."""

import json
import os
import re
import signal
import subprocess
import time

import conftest
from lab import PATIENCE, wait_for, wrapped


STREAMS = 256  # at once


class Stream:
    """One reader; a chunked body read as lines."""

    def __init__(self, host, last=None, timeout=30, query=""):
        self.sock = host.connect(timeout=timeout) if timeout else host.connect()
        last = f"Last-Event-ID: {last}\r\n" if last else ""
        self.sock.sendall(f"GET /events{query} HTTP/1.1\r\nHost: localhost\r\n{last}\r\n".encode())
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
        end = time.monotonic() + timeout * PATIENCE
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


def readers(host):
    """How many read the host's events."""
    return int(re.search(r"^virtx_event_streams (\d+)$", host.api("GET", "/metrics").text, re.M)[1])


def test_operations_of_others(lab3):
    """What happens to an operation is told by every host, and shown by the one that passed the request on."""
    h1, h2, h3 = lab3.hosts
    for host in lab3.hosts:
        wait_for("earlier readers to be gone", lambda host=host: readers(host) == 0, 40)
    streams = [Stream(host, query=query) for host, query in ((h1, ""), (h3, "?type=operation"))]
    for stream in streams:
        assert stream.event()[1] == "reset"
    wait_for("both to read of h2", lambda: readers(h2) == 2, 10)
    body = {"vmdef": conftest.vmdef("evop"), "host": h2.uuid}
    answer = h1.api("POST", "/vms", body, headers={"Prefer": "respond-async"})
    assert answer.status == 202, answer.text
    where = answer.headers["Location"]
    for stream, kinds in zip(streams, (("vm", "host", "operation"), ("operation",))):
        def ended(kind, data, kinds=kinds):
            assert kind in (*kinds, "reset")  # one as the relay begins
            return kind == "operation" and f"/operations/{data['id']}" == where and data["te"] > 0
        _, data = stream.until(ended)
        assert (data["op"], data["host"], data["state"]) == ("VmCreate", h2.uuid, "completed")
        stream.close()
    # No reader, no relay.
    wait_for("nobody to read of h2", lambda: readers(h2) == 0, 40)
    assert h1.api("GET", where).json() == h2.api("GET", where).json() == data
    assert h1.api("GET", "/operations/nonsense").status == 404
    assert h1.api("GET", "/events?type=nonsense").status == 400
    conftest.delete(h2, data["vm"])  # h1 learns of it in its own time


def test_operations_of_others_without_end(lab3):
    """More of them than any answer may be long."""
    h1, h2 = lab3.hosts[:2]
    uuid = conftest.create(h2, conftest.vmdef("evmany"))
    wait_for("earlier readers to be gone", lambda: readers(h2) == 0, 40)
    stream = Stream(h1, query="?type=operation")
    assert stream.event()[1] == "reset"
    # The relay began later than this client.
    assert stream.event()[1] == "reset"
    wait_for("h1 to read of h2", lambda: readers(h2) == 1, 10)
    wanted = set()
    for _ in range(150):
        answer = h2.api("POST", f"/vms/{uuid}/runstate/pause", headers={"Prefer": "respond-async"})
        assert answer.status == 202, answer.text
        wanted.add(answer.headers["Location"].removeprefix("/operations/"))
        wait_for("it to end", lambda where=answer.headers["Location"]: h2.api(
            "GET", where).json()["te"] > 0, 20)
    while wanted:
        _, kind, data = stream.event()
        assert kind == "operation"
        if data["te"] > 0:
            wanted.discard(data["id"])
    stream.close()
    # What comes now is not for the next reader.
    wait_for("nobody to read of h2", lambda: readers(h2) == 0, 40)
    conftest.delete(h2, uuid)


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


def test_move_is_no_end(hosts):
    """A VM that has left its host is known everywhere, however late the new host tells of it."""
    one, two, three = hosts
    uuid = conftest.create(one, conftest.vmdef("mover"))
    stream = Stream(one)
    begun = one.api("POST", f"/vms/{uuid}/runstate/migrate", {"host": two.uuid, "migration_type": 0})
    assert begun.status == 202, begun.text
    two.signal("virtxd", signal.SIGSTOP)
    try:
        wait_for("it to have left", lambda: uuid not in one.virsh("list", "--all", "--uuid").stdout, 20)
        # All that this one knows is what the first tells by now.
        three.restart("virtxd")
        wait_for("the third to know it", lambda: three.api("GET", f"/vms/{uuid}").status == 200, 30)
        for host in (one, three):
            assert host.api("GET", f"/vms/{uuid}").status == 200
            wait_for("it to be said why not", lambda host=host: "has left this host" in host.api(
                "POST", f"/vms/{uuid}/runstate/boot").text, 10)
    finally:
        two.signal("virtxd", signal.SIGCONT)
    seen = []
    stream.until(lambda kind, data: kind == "vm" and data["uuid"] == uuid and (
        seen.append(data["fields"]["runstate"]) or data["fields"]["host"] == two.uuid))
    stream.close()
    assert set(seen) == {2}
    wait_for("the third to know where it is", lambda: three.api(
        "GET", f"/vms/{uuid}/runstate").json()["host"] == two.uuid, 20)
    wait_for("the operation to end", lambda: one.api(
        "GET", begun.headers["Location"]).json()["state"] == "completed", 20)


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
    readers = [Stream(h1) for _ in range(STREAMS)]
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


class Watch:
    """virtx watch, its lines as they come."""

    def __init__(self, host, path, *args):
        self.path = str(path)
        self.file = open(self.path, "w+", encoding="utf-8")
        self.errors = open(self.path + ".err", "w+", encoding="utf-8")
        self.process = host.popen(wrapped([f"{host.lab.build_dir}/virtx/virtx", *args, "watch"]),
                                  stdout=self.file, stderr=self.errors,
                                  stdin=subprocess.DEVNULL)

    def wait(self, pattern, timeout=30):
        def found():
            with open(self.path, encoding="utf-8") as file:
                return next((line for line in file if re.search(pattern, line)), None)
        wait_for(f"virtx watch to print {pattern}", found, timeout)
        return found()

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        self.file.close()
        self.errors.close()


def test_virtx_watch(lab3, tmp_path):
    h1, h2, _ = lab3.hosts
    lines, text = Watch(h1, tmp_path / "json", "-o", "json"), Watch(h2, tmp_path / "text")
    lines.wait('"event":"reset"')
    text.wait("reset")
    uuid = conftest.create(h1, conftest.vmdef("ev2"))
    line = json.loads(lines.wait(f'"event":"vm".*{uuid}'))
    assert set(line) == {"id", "event", "data"} and line["data"]["fields"]["name"] == "ev2"
    lines.wait('"event":"operation".*"completed"')
    text.wait(f"vm {uuid} 'ev2' is poweroff on host {h1.uuid}")
    # It outlives the server, and says so.
    h1.restart("virtxd")
    conftest.wait_ready(h1)
    before = line["id"].split("-")[0]
    wait_for("a reset of the new server", lambda: re.search(
        rf'"id":"(?!{before}-)[^"]*","event":"reset"', open(lines.path, encoding="utf-8").read()), 30)
    assert "trying again" in open(lines.path + ".err", encoding="utf-8").read()
    conftest.delete(h1, uuid)
    lines.wait(f'{uuid}.*"runstate":1,')
    text.wait(f"vm {uuid} 'ev2' is deleted")
    lines.close()
    text.close()
    # Where there is nobody at all, it ends.
    answer = h1.virtx("-A", "127.0.0.1:1", "watch")
    assert answer.returncode == 7 and "Connection refused" in answer.stderr


def decode(host, label, payload):
    """Runs virtx decode-event."""
    env = {**os.environ, "SERF_USER_EVENT": label}
    return subprocess.run(wrapped([f"{host.lab.build_dir}/virtx/virtx", "decode-event"]), input=payload,
                          env=env, capture_output=True, check=False)


def test_decode_event(host):
    with open(os.path.join(conftest.ROOT, "test/golden/vectors.json"), encoding="utf-8") as file:
        vectors = json.load(file)
    assert {vector["label"] for vector in vectors} == {"HI", "VI", "VE"}
    for vector in vectors:
        payload = bytes.fromhex(vector["hex"])
        done = decode(host, vector["label"], payload)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(b"\n") == 1
        line = json.loads(done.stdout)
        assert line.pop("event") == vector["label"]
        fields = dict(vector["fields"])
        if vector["label"] == "HI":
            line = {"uuid": line["uuid"], **line["fields"]}
            fields = {"uuid": fields["uuid"], **fields.get("fields", fields)}
        for name in ("uuid", "name", "runstate", "ts", "vlanid", "custom", "vcpus", "osid"):
            assert line.get(name) == fields.get(name), name
        # What is cut off, or has more than belongs to it.
        for part in range(0, len(payload), 7):
            assert decode(host, vector["label"], payload[:part]).returncode == 1
        # As the agent gives it.
        assert decode(host, vector["label"], payload + b"\n").stdout == done.stdout
        assert decode(host, vector["label"], payload + b"x").returncode == \
            (1 if vector["label"] == "VE" else 0)
    assert b"HI, VI, VE and TK" in decode(host, "XX", b"").stderr


def test_serf_event_handler(lab3, tmp_path):
    """The README's way, with a real agent that is no host."""
    h1 = lab3.hosts[0]
    log, script = tmp_path / "handled", tmp_path / "handler"
    with open(script, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\n{h1.lab.build_dir}/virtx/virtx decode-event >> {log} 2>&1\n")
    os.chmod(script, 0o755)
    output = open(tmp_path / "agent.log", "w", encoding="utf-8")
    agent = h1.popen(["serf", "agent", "-node=handler", f"-bind={h1.addr}:7999",
                      "-rpc-addr=127.0.0.1:7474", f"-join={h1.addr}:7946",
                      *(f"-event-handler=user:{label}={script}" for label in ("VE", "VI", "HI"))],
                     stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        wait_for("the agent to be a member",
                 lambda: "handler" in h1.serf("members").stdout, 20)
        uuid = conftest.create(h1, conftest.vmdef("ev3"))
        assert h1.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
        assert h1.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
        conftest.delete(h1, uuid)

        def handled():
            if not os.path.exists(log):
                return False
            with open(log, encoding="utf-8") as file:
                lines = [json.loads(line) for line in file]
            states = [line["runstate"] for line in lines if line["uuid"] == uuid]
            return {4, 1} <= set(states)
        wait_for("the handler to have seen the VM run and go", handled, 30)
    finally:
        agent.terminate()
        agent.wait(10)
        output.close()
