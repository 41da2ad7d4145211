# SPDX-License-Identifier: GPL-2.0-or-later
"""What one host changes is seen by all: by events, and by asking when events were lost."""

import json
import os
import re
import struct
import time

import pytest

from conftest import BUILD, PREFIX, create, delete, vmdef, wait_ready
from lab import PATIENCE, Lab, LabError, wait_for

PARTITION = float(os.environ.get("VIRTX_PARTITION", "20"))  # seconds
CHANGES = int(os.environ.get("VIRTX_CHANGES", "100"))
FLOOD = float(os.environ.get("VIRTX_FLOOD", "10"))  # seconds
DELETED, RUNNING, PAUSED = 1, 4, 5


def vms(host):
    """All that a listing tells."""
    return {item["uuid"]: item["fields"] for item in host.api("GET", "/vms").json()["items"]}


def hosts(host):
    """The same of hosts, but for the figures, which have their own times."""
    return {item["uuid"]: (item["fields"]["name"], item["fields"]["cstate"], item["fields"]["osid"])
            for item in host.api("GET", "/hosts").json()["items"]}


def equal(lab):
    """Whether all hosts tell the same."""
    first, *others = [(vms(host), hosts(host)) for host in lab.hosts]
    return all(other == first for other in others)


def wait_equal(lab, timeout):
    """Wait until they do; the seconds that it took."""
    start = time.monotonic()
    try:
        wait_for("all hosts to tell the same", lambda: equal(lab), timeout)
    except LabError:
        for host in lab.hosts:
            print(host.name, vms(host), hosts(host))
        raise
    return time.monotonic() - start


def state(host, uuid):
    return vms(host).get(uuid, {"runstate": 1})["runstate"]


@pytest.fixture(scope="module")
def lab():
    with Lab(3, build_dir=BUILD, name=f"{PREFIX}3g") as lab:
        for host in lab.hosts:
            wait_ready(host)
        wait_equal(lab, 20)
        yield lab


def power(host, method, uuid, what, body=None):
    answer = host.api(method, f"/vms/{uuid}/runstate/{what}", body)
    assert answer.status in (200, 204), answer.text


def test_hosts(lab):
    for host in lab.hosts:
        assert hosts(host) == {other.uuid: (other.name, 1, "debian") for other in lab.hosts}


def test_life_is_seen(lab):
    h1, h2, h3 = lab.hosts
    uuid = create(h1, vmdef("seen", vlanid=7, custom=[{"name": "owner", "value": "me"}]))
    wait_for("the VM to be seen", lambda: uuid in vms(h2) and uuid in vms(h3), 5)
    assert vms(h2)[uuid] == vms(h1)[uuid]
    for host in lab.hosts:
        found = host.api("GET", "/vms?custom.name=owner&custom.value=me&vlanid=7").json()["items"]
        assert [item["uuid"] for item in found] == [uuid]
    delete(h1, uuid)
    wait_for("it to be gone", lambda: uuid not in vms(h2) and uuid not in vms(h3), 5)


def test_changes_are_fast(lab):
    h1, *others = lab.hosts
    uuid = create(h1, vmdef("fast"))
    power(h1, "POST", uuid, "boot")
    took = []
    for n in range(CHANGES):
        method, wanted = ("DELETE", RUNNING) if n % 2 else ("POST", PAUSED)
        power(h1, method, uuid, "pause")
        start = time.monotonic()
        for host in others:
            wait_for("the change", lambda host=host: state(host, uuid) == wanted, 30, 0.01)
            took.append(time.monotonic() - start)
    took.sort()
    median, late = took[len(took) // 2], took[len(took) * 99 // 100]
    print(f"\n{CHANGES} changes seen by 2 others: median {median:.3f} s, 99% {late:.3f} s, "
          f"last {took[-1]:.3f} s")
    power(h1, "DELETE", uuid, "boot", {"force": 2})
    delete(h1, uuid)
    wait_equal(lab, 5)
    assert median < 0.5 * PATIENCE and late < 2 * PATIENCE


def test_virtxd_restart(lab):
    h1, h2, _ = lab.hosts
    kept, doomed = create(h1, vmdef("kept")), create(h1, vmdef("doomed"))
    mine = create(h2, vmdef("mine"))
    wait_equal(lab, 5)
    h2.kill("virtxd")
    delete(h1, doomed)
    added = create(h1, vmdef("added"))
    power(h1, "POST", kept, "boot")
    h2.start("virtxd")
    wait_ready(h2)
    print(f"\nequal {wait_equal(lab, 20):.1f} s after virtxd was ready again")
    assert set(vms(h2)) == {kept, added, mine}
    power(h1, "DELETE", kept, "boot", {"force": 2})
    for host, uuid in ((h1, kept), (h1, added), (h2, mine)):
        delete(host, uuid)
    wait_equal(lab, 5)


def test_start_tells_no_empty_truth(lab):
    h1, h2, h3 = lab.hosts
    mine, other = create(h2, vmdef("mine")), create(h1, vmdef("other"))
    wait_equal(lab, 5)
    h3.stop("virtxd")  # who cannot answer is not waited for
    h2.kill("virtxd")
    h2.launch("virtxd")
    seen = []

    def answer():
        try:
            return h2.api("GET", "/vms"), h2.api("GET", f"/vms/{other}"), h2.api("GET", f"/vms/{mine}/runstate")
        except OSError:
            return None

    def listed():
        answers = answer()
        seen.extend(answers or ())
        return answers and [a.status for a in answers] == [200, 200, 200]

    wait_for("the VMs", listed, 30, 0.01)
    for one in seen:
        assert one.status in (200, 503), one.text
        assert one.status == 200 or one.headers["Retry-After"] == "1" or "not active" in one.text, one.text
        assert "items" not in one.json() or {mine, other} == {item["uuid"] for item in one.json()["items"]}
    wait_ready(h2)
    assert "'h3'" in h2.api("GET", "/vms").headers["Warning"]
    h3.start("virtxd")
    wait_ready(h3)
    wait_for("the VMs of h3", lambda: "Warning" not in h2.api("GET", "/vms").headers, 60)
    delete(h2, mine)
    delete(h1, other)
    wait_equal(lab, 10)


def test_tags_go_with_virtxd(lab):
    h1, _, h3 = lab.hosts

    def tags():
        members = json.loads(h1.serf("members", "-format=json").stdout)["members"]
        return next(member["tags"] for member in members if member["name"] == h3.name)

    wait_for("the tags", lambda: tags() == {"uuid": h3.uuid, "api": "8080/http", "virtx": tags()["virtx"],
                                            "watchdog": "off"}, 30)
    h3.stop("virtxd")
    wait_for("the tags to be gone", lambda: tags() == {"uuid": h3.uuid}, 20)
    h3.start("virtxd")
    wait_ready(h3)
    wait_for("the tags", lambda: set(tags()) == {"uuid", "api", "virtx", "watchdog"}, 30)
    wait_equal(lab, 30)


GO = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        whole = self.path == "/vms" and self.headers["Content-Type"] == "application/json" and json.loads(body) == {}
        self.send_response(200 if whole else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sys.argv[1])))
        self.end_headers()
        self.wfile.write(sys.argv[1].encode())
http.server.HTTPServer(("", 8080), Handler).serve_forever()
"""


def test_go_host_is_asked(lab):
    """The VMs of a Go virtx are known as soon as virtxd starts."""
    h1, h2, h3 = lab.hosts
    its, other = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
    fields = {"name": "go", "runstate": RUNNING, "vlanid": 5, "custom": {"name": "", "value": ""},
              "ts": int(time.time() * 1000)}
    h3.stop("virtxd")
    for answer, wanted in ((json.dumps({"items": [{"uuid": its, "fields": {**fields, "host": h3.uuid}},
                                                {"uuid": other, "fields": {**fields, "host": h1.uuid}}]}), {its}),
                         ("null", set()), (json.dumps({"items": None}), set())):
        stand_in = h3.popen(["python3", "-c", GO, answer], stderr=open(os.devnull, "w"))
        try:
            wait_for("the stand-in", lambda: h3.run(["ss", "-ltnH", "sport = :8080"]).stdout, 20)
            h2.restart("virtxd")
            wait_ready(h2)
            wait_for("an answer", lambda: h2.api("GET", "/vms").status == 200, 8)
            assert set(vms(h2)) == wanted and "Warning" not in h2.api("GET", "/vms").headers
        finally:
            stand_in.kill()
            stand_in.wait()
    h3.start("virtxd")
    wait_ready(h3)
    wait_equal(lab, 30)


def test_serf_restart(lab):
    h1, h2, h3 = lab.hosts
    uuid = create(h1, vmdef("before"))
    wait_equal(lab, 5)
    h3.kill("serf")
    wait_for("the others to see it", lambda: hosts(h1)[h3.uuid][1] == 3, 30)
    assert "serf" in h3.api("GET", "/readyz").json()["serf"]
    mine = create(h3, vmdef("alone"))
    delete(h1, uuid)
    assert uuid in vms(h3)  # answered from memory
    h3.start("serf")
    wait_ready(h3)
    print(f"\nequal {wait_equal(lab, 20):.1f} s after serf was there again")
    assert set(vms(h1)) == {mine}
    delete(h3, mine)
    wait_equal(lab, 5)


def cut(lab, on):
    """Cut the last host off from the other two, or no more."""
    *others, last = lab.hosts
    for host in others:
        host.drop(last, on)
        last.drop(host, on)


def test_partition(lab):
    h1, _, h3 = lab.hosts
    names = "d1", "b1", "s1"
    here = {name: create(h1, vmdef(name)) for name in names}
    there = {name: create(h3, vmdef(name.replace("1", "3"))) for name in names}
    wait_equal(lab, 5)
    start = time.monotonic()
    cut(lab, True)
    wait_for("both sides to see it", lambda: hosts(h1)[h3.uuid][1] == 3 and
             hosts(h3)[h1.uuid][1] == 3, 30)
    for host, uuids in ((h1, here), (h3, there)):
        power(host, "POST", uuids["b1"], "boot")
        delete(host, uuids["d1"])
        uuids["c1"] = create(host, vmdef(f"c{host.n}"))
    assert there["d1"] in vms(h1) and here["d1"] in vms(h3)
    time.sleep(max(0.0, start + PARTITION - time.monotonic()))
    cut(lab, False)
    took = wait_equal(lab, 40)
    print(f"\nequal {took:.1f} s after {PARTITION:.0f} s of partition")
    assert took < 12 * PATIENCE
    for host, uuids in ((h1, here), (h3, there)):
        assert uuids["d1"] not in vms(host) and state(host, uuids["b1"]) == RUNNING
        power(host, "DELETE", uuids["b1"], "boot", {"force": 2})
        for name in ("b1", "s1", "c1"):
            delete(host, uuids[name])
    wait_equal(lab, 5)


def serf_config(host, **changes):
    """Change the agent's configuration file."""
    path = f"{host.state}/etc-virtx/serf.json"
    with open(path) as file:
        config = json.load(file)
    with open(path, "w") as file:
        json.dump({**config, **changes}, file)


def test_renamed_and_moved(lab):
    h1, _, h3 = lab.hosts
    mine = create(h3, vmdef("moving"))
    wait_equal(lab, 5)
    h3.stop("virtxd")
    h3.kill("serf")
    other = h3.addr.rpartition(".")[0] + ".33"
    h3.run(["ip", "address", "add", f"{other}/24", "dev", h3.run(
        ["ip", "-o", "route", "get", h1.addr]).stdout.split("dev ")[1].split()[0]])
    serf_config(h3, node_name="renamed", bind=other)
    h3.configure({"http": {"listen": ["127.0.0.1:8080 open", f"{other}:8080 plain open"]}})
    try:
        h3.start("serf")
        h3.start("virtxd")
        wait_ready(h3)
        print(f"\nequal {wait_equal(lab, 30):.1f} s after the host came back as another member")
        assert len(hosts(h1)) == 3 and hosts(h1)[h3.uuid][:2] == ("h3", 1)
        power(h3, "POST", mine, "boot")
        wait_for("the change", lambda: state(h1, mine) == RUNNING, 5)
        power(h3, "DELETE", mine, "boot", {"force": 2})
    finally:
        h3.stop("virtxd")
        h3.stop("serf")
        serf_config(h3, node_name=h3.name, bind=h3.addr)
        h3.configure({})
        h3.start("serf")
        h3.start("virtxd")
    wait_ready(h3)
    wait_equal(lab, 30)
    delete(h3, mine)
    wait_equal(lab, 5)
    assert hosts(h1) == {host.uuid: (host.name, 1, "debian") for host in lab.hosts}


def pack(value):
    """Just enough of msgpack."""
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return b"\xce" + struct.pack(">I", value)
    if isinstance(value, str):
        return b"\xdb" + struct.pack(">I", len(value)) + value.encode()
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    return bytes([0x80 | len(value)]) + b"".join(pack(k) + pack(v) for k, v in value.items())


def request(command, seq, body):
    return pack({"Command": command, "Seq": seq}) + pack(body)


def flood(host, payloads, rate, seconds):
    """Send user events at that rate through the host's agent; how many it took."""
    sock = host.connect(7373)
    sock.sendall(request("handshake", 0, {"Version": 1}))
    sock.sendall(request("auth", 1, {"AuthKey": host.lab.serf_key}))
    start, n = time.monotonic(), 0
    sock.settimeout(0.001)
    while (passed := time.monotonic() - start) < seconds:
        due = int(passed * rate) - n
        sock.settimeout(5)
        for i in range(n, n + min(due, 500)):
            name, payload = payloads[i % len(payloads)]
            sock.sendall(request("event", i + 2, {"Name": name, "Payload": payload,
                                                  "Coalesce": False}))
        n += max(0, min(due, 500))
        sock.settimeout(0.001)
        try:
            sock.recv(1 << 20)
        except TimeoutError:
            pass
    sock.close()
    return n


def send_events(host, events):
    """Send user events through the host's agent, one by one."""
    sock = host.connect(7373)
    sock.sendall(request("handshake", 0, {"Version": 1}))
    sock.sendall(request("auth", 1, {"AuthKey": host.lab.serf_key}))
    for n, (name, payload) in enumerate(events):
        sock.sendall(request("event", n + 2, {"Name": name, "Payload": payload, "Coalesce": False}))
        time.sleep(0.1)
    sock.close()


def text(value):
    return struct.pack("<H", len(value)) + value.encode()


def host_info(host, ts, digest):
    """What a host tells of itself, and the digest of its VMs."""
    return ("HI", text(host.uuid) + text(host.name) + 3 * text("") + struct.pack("<5h2i", 1, 1, 1, 1, 1, 1024, 0) +
            2 * text("") + struct.pack("<q", ts) + struct.pack("<hiq", 1, 1, digest))


def test_malformed_flood(lab):
    h1, h2, h3 = lab.hosts
    uuid = create(h1, vmdef("steady"))
    wait_equal(lab, 5)
    strange = "00000000-0000-4000-8000-00000000000"
    payloads = [("VI", b"\x24"), ("VE", b""), ("HI", b"\xff" * 200), ("VI", os.urandom(150)),
                ("VE", text(strange + "1") + text(strange + "2") + struct.pack("<hq", 4, 1 << 62)),
                ("VE", text(uuid) + text(h2.uuid) + struct.pack("<hq", 77, 1 << 62)),
                ("VE", text(uuid) + text(h1.uuid) + struct.pack("<hq", 1, 1) + b"more"),
                ("HI", text(strange + "3") + b"\0" * 40)]
    before = len(h1.log("virtxd"))
    sent = flood(h1, payloads, 10000, FLOOD)
    lines = h1.log("virtxd")[before:].count("\n")
    print(f"\n{sent / FLOOD:.0f} malformed events a second for {FLOOD:.0f} s: "
          f"{lines} lines of log")
    assert lines < 40
    for host in lab.hosts:
        assert set(vms(host)) == {uuid} and state(host, uuid) == 2
        assert hosts(host).keys() == {h1.uuid, h2.uuid, h3.uuid}
    start = time.monotonic()
    power(h1, "POST", uuid, "boot")
    wait_for("a change to be seen again",
             lambda: state(h2, uuid) == RUNNING and state(h3, uuid) == RUNNING, 120)
    print(f"a change was seen {time.monotonic() - start:.1f} s after the flood")
    power(h1, "DELETE", uuid, "boot", {"force": 2})
    delete(h1, uuid)
    wait_equal(lab, 30)


def test_forged_claims(lab):
    h1, h2, h3 = lab.hosts
    uuid = create(h1, vmdef("mine"))
    wait_equal(lab, 5)

    def claim(ahead, runstate=RUNNING, name=h2):
        now = int(time.time() * 1000)
        send_events(h3, [("VE", text(uuid) + text(name.uuid) + struct.pack("<hq", runstate, now + ahead))])

    def owners():
        return {vms(host).get(uuid, {"host": None})["host"] for host in lab.hosts}

    for ahead in 1000, 10000000, 200000:
        claim(ahead)
        for _ in range(10):
            assert owners() == {h1.uuid}
            time.sleep(0.1)
    assert "more than 300 s ahead" in h1.log("virtxd")
    # In its host's own name it is answered at once, and not by the next digest.
    # The last claim may have been answered, by a time that is later still.
    claim(210000, DELETED, h1)
    wait_for("the host to know", lambda: "it tells anew" in h1.log("virtxd"), 5)
    wait_for("the VM to be there again", lambda: owners() == {h1.uuid}, 3)
    power(h3, "POST", uuid, "boot")
    assert {state(host, uuid) for host in (h1, h3)} == {RUNNING}
    claim(250000)
    power(h2, "DELETE", uuid, "boot", {"force": 2})
    claim(260000)
    delete(h1, uuid)
    wait_for("the VM to be gone for all", lambda: owners() == {None}, 30)
    time.sleep(2)
    assert owners() == {None}


def test_clock_is_told(lab):
    """What another host's clock is ahead."""
    h1, _, h3 = lab.hosts
    assert h1.api("GET", "/readyz").json()["clock"] == ""
    h3.kill("virtxd")
    try:
        send_events(h3, [host_info(h3, int(time.time() * 1000) + 60000, 1)])
        told = wait_for("the clock", lambda: h1.api("GET", "/readyz").json()["clock"], 10)
        assert re.fullmatch(r"the clock of host 'h3' is (60\.0|5\d\.\d) s ahead", told), told
        skew, = [item["skew"] for item in h1.api("GET", "/hosts").json()["items"] if item["uuid"] == h3.uuid]
        assert 50000 < skew <= 60000
        line, = [line for line in h1.virtx("list", "host").stdout.splitlines() if h3.uuid in line]
        assert f"{skew / 1000:+.1f} s" in line
    finally:
        h3.start("virtxd")
    wait_ready(h3)
    wait_for("it to be right again", lambda: h1.api("GET", "/readyz").json()["clock"] == "", 30)
    wait_equal(lab, 30)
