# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may what: each route by everybody, asked for at the host that answers and at one that forwards."""

import hashlib
import json
import re
import time

import conftest
import pytest
from conftest import BUILD, PREFIX, wait_joined
from lab import PATIENCE, Lab, wait_for
from lab.tls import TLS_PORT, Authority, make_user, settings

SECRET = re.compile(r"virtx_[0-9a-f]{64}")
KNOWN = 20 * PATIENCE
ROLES = ("none", "viewer", "operator", "admin", "host")
SOCKET = "/run/virtx/virtxd.sock"
TOKENS = {
    "viewer": ("viewer",), "operator": ("operator",), "admin": ("admin",), "revoked": ("admin",),
    "alice": ("operator", "--only", "owner=alice"), "bob": ("admin", "--only", "owner=bob"),
}
# Of users with certificates.
USERS = {
    "user": ("operator",), "user-admin": ("admin",), "user-revoked": ("admin",),
    "user-alice": ("operator", "--only", "owner=alice"),
}
LIMITED = ("alice", "bob", "user-alice")
# What each is let in as: 401 and 0 (no answer at all) are for those who are not.
WHO = {
    "nothing": 401, "wrong": 401, "expired": 401, "revoked": 401, "viewer": "viewer", "operator": "operator",
    "admin": "admin", "alice": "operator", "bob": "operator", "host": "host", "stranger": 0,
    "root": "host", "group": "admin", "nobody": 0,
    "user": "operator", "user-admin": "admin", "user-alice": "operator", "user-revoked": 401, "user-unknown": 401,
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("ca"))
    stranger = Authority(tmp_path_factory.mktemp("other"))
    with Lab(2, build_dir=BUILD, name=f"{PREFIX}who") as lab:
        for host in lab.hosts:
            authority.equip(host)
            config = settings(host, log_level="debug")
            config["http"]["listen"] = ["127.0.0.1:8080 open", f"{host.addr}:{TLS_PORT} tls auth"]
            if host is lab.hosts[0]:
                authority.give_key(host, config)
            host.configure(config)
            host.restart("virtxd")
        wait_joined(lab)
        for text, file in zip(stranger.sign("x", f"URI:virtx:host:{lab.hosts[0].uuid}"), ("pem", "key")):
            for host in lab.hosts:
                host.run(["tee", f"/run/stranger.{file}"], input=text)
        # Signed for a name that there is, by the CA, but made for nobody.
        for text, file in zip(authority.sign("unknown", "URI:virtx:user:user-admin"), ("pem", "key")):
            for host in lab.hosts:
                host.run(["tee", f"/run/user-unknown.{file}"], input=text)
        yield lab


@pytest.fixture(scope="module")
def hosts(lab):
    return lab.hosts


@pytest.fixture(scope="module")
def secrets(lab, hosts):
    """Those of all tokens, by name, which are in /run/NAME of each host as a header, too."""
    made = {"wrong": "virtx_" + "0" * 64, "expired": "virtx_" + "1" * 64}
    # Times that are over nobody can ask for.
    token = {"name": "expired", "role": 3, "created": 1, "expires": 2, "user": "uid:0",
             "only": {"name": "", "value": ""}}
    for name, args in TOKENS.items():
        done = hosts[0].virtx("token", "create", name, "--role", *args)
        assert done.returncode == 0 and SECRET.fullmatch(done.stdout.strip()), done.stderr
        made[name] = done.stdout.strip()
    hosts[0].run(["tee", "/vms/auth/expired"], input=json.dumps(
        {"token": token, "hash": hashlib.sha256(made["expired"].encode()).hexdigest()}))
    for name, args in USERS.items():
        make_user(hosts[0], name, *args)
    for name in ("revoked", "user-revoked"):
        assert hosts[0].virtx("token", "revoke", name).returncode == 0
    for host in hosts:
        for name, secret in made.items():
            host.run(["tee", f"/run/{name}"], input=f"Authorization: Bearer {secret}\n")
        for name in ("alice", "expired", "user-alice"):
            wait_for(f"{host.name} to know '{name}'",
                     lambda: f'"{name}"' in host.api("GET", "/auth/tokens").text, KNOWN)
    return made


@pytest.fixture(scope="module")
def vms(hosts):
    """A VM of alice, and one of bob: both on the first host."""
    made = {}
    for owner in ("alice", "bob"):
        vm = conftest.vmdef(f"of-{owner}")
        vm["custom"] = [{"name": "owner", "value": owner}]
        made[owner] = conftest.create(hosts[0], vm)
        wait_for("the other host to know it", lambda: hosts[1].api("GET", f"/vms/{made[owner]}").status == 200, 30)
    return made


def options(name, host):
    """How curl shows who asks, and where."""
    if name in ("root", "group", "nobody"):
        return [f'unix-socket = "{SOCKET}"'], "http://localhost"
    shown = {"nothing": [], "host": ['cert = "/etc/virtx/host.pem"', 'key = "/etc/virtx/host.key"'],
             **{who: [f'cert = "/run/{who}.pem"', f'key = "/run/{who}.key"'] for who in ("stranger", "user-unknown", *USERS)}}
    return ['cacert = "/etc/virtx/ca.pem"', *shown.get(name, [f'header = "@/run/{name}"'])], \
        f"https://{host.addr}:{TLS_PORT}"


def before(name, host):
    """Who runs curl."""
    if name not in ("group", "nobody"):
        return []
    group = host.run(["stat", "-c", "%g", SOCKET]).stdout.strip() if name == "group" else "65534"
    return ["setpriv", "--reuid=65534", f"--regid={group}", "--clear-groups"]


def ask_all(name, at, host, requests):
    """The status of each of {(method, path): body}, by its key; all are asked at once."""
    shown, base = options(name, at)
    text = ""
    for n, ((method, path), body) in enumerate(requests.items()):
        text += "next\n" if n else ""
        text += "\n".join([
            *shown, f'url = "{base}{path}"', f"request = {method}", "globoff", "output = /dev/null",
            f'write-out = "{n} %{{http_code}}\\n"',
            f"max-time = {3 * PATIENCE if path == '/events' else 20 * PATIENCE}",
            *([] if method == "GET" else ['header = "Content-Type: application/json"', f"data = {json.dumps(body)}"]),
        ]) + "\n"
    # As root: it reads what only root may.
    runner = host if at is not host and name not in ("root", "group", "nobody") else at
    done = runner.run([*before(name, at), "curl", "-s", "-Z", "--parallel-max", "12", "--config", "-"], input=text,
                      check=False, timeout=60)
    found = dict(line.split() for line in done.stdout.splitlines())
    assert len(found) == len(requests), (name, done.stdout, done.stderr)
    return {key: int(found[str(n)]) for n, key in enumerate(requests)}


def make_requests(host, vm):
    """Each route of the document, about a VM that is off, with what makes no sense where that would change it."""
    document = host.api("GET", "/openapi.json").json()
    requests, roles = {}, {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            concrete = path.replace("{id}", "nothing")
            uuid = vm if path.startswith("/vms/") else host.uuid
            if (method, path) == ("delete", "/hosts/{uuid}"):
                uuid = "9d7d0f1c-95a4-4a55-8b6e-3f3a53f7a001"
            key = (method.upper(), concrete.replace("{uuid}", uuid))
            names_host = key[1] == "/vms" or path.endswith(("/register", "/failover", "/recall", "/reservation"))
            requests[key] = json.dumps({"host": host.uuid}) if names_host else "{"
            roles[key] = operation["x-role"]
    assert len(requests) >= 36 and "host" in roles.values()
    return requests, roles


def is_expected(let_in, limited, role, status):
    """By the role that the route names alone."""
    # Of one address few tries are looked at together.
    if not isinstance(let_in, str):
        return status == let_in or (let_in, status) == (401, 429)
    # Who has a token to join by may do that alone, and none of these has one.
    if role == "join":
        return status == 403
    if limited and role in ("admin", "host"):
        return status == 403
    if ROLES.index(let_in) < ROLES.index(role):
        return status == 403
    return status not in (0, 401, 403)


@pytest.mark.parametrize("forwarded", [False, True], ids=["directly", "forwarded"])
def test_table(hosts, secrets, vms, forwarded):
    """No cell is a surprise, and nothing has changed in the end."""
    h1, h2 = hosts
    requests, roles = make_requests(h1, vms["alice"])
    surprises = []
    for name, let_in in WHO.items():
        at = h2 if forwarded else h1
        other = h1 if forwarded else h2
        found = ask_all(name, at, other, requests)
        if let_in == 401:
            good = ("GET", "/vms")
            wait_for("the tries to be over", lambda at=at, other=other: ask_all("viewer", at, other, {good: ""})[good] == 200, 20)
        for key, status in found.items():
            if not is_expected(let_in, name in LIMITED, roles[key], status):
                surprises.append((name, *key, roles[key], status))
            # To whom another one's VM is not there.
            elif name == "bob" and vms["alice"] in key[1] and roles[key] in ("viewer", "operator") and status != 404:
                surprises.append((name, *key, roles[key], status))
    assert not surprises, surprises
    for owner in vms:
        assert conftest.runstate(h1, vms[owner]) == "poweroff"


def get(host, to, name, path, method="GET", body=None):
    """Status and body of an answer."""
    args = [] if body is None else ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    done = host.run(["curl", "-s", "--cacert", "/etc/virtx/ca.pem", "-H", f"@/run/{name}", "-X", method, *args,
                     "-w", "\n%{http_code}", f"https://{to.addr}:{TLS_PORT}{path}"])
    text, status = done.stdout.rsplit("\n", 1)
    return int(status), text


@pytest.mark.parametrize("n", [0, 1], ids=["directly", "forwarded"])
def test_limited(hosts, secrets, vms, n):
    """To alice the VM of bob is not there, whomever she asks, and hers stays hers."""
    h1, h2 = hosts
    at = hosts[n]
    mine, other = vms["alice"], vms["bob"]
    for path in ("/vms", "/vms?custom.name=owner", "/metrics?vms=1", "/operations", f"/operations?host={h1.uuid}"):
        status, text = get(h2, at, "alice", path)
        assert status == 200 and other not in text, (path, text)
    assert [vm["uuid"] for vm in json.loads(get(h2, at, "alice", "/vms")[1])["items"]] == [mine]
    nothing = get(h2, at, "alice", f"/vms/{h1.uuid}")
    assert get(h2, at, "alice", f"/vms/{other}") == (404, nothing[1].replace(h1.uuid, other))
    assert get(h2, at, "alice", f"/vms/{other}", "DELETE")[0] == 404
    status, text = get(h2, at, "alice", f"/vms/{mine}")
    definition = json.loads(text)["def"]
    for custom in ([], [{"name": "owner", "value": "bob"}],
                   [{"name": "owner", "value": "alice"}, {"name": "owner", "value": "bob"}]):
        status, text = get(h2, at, "alice", f"/vms/{mine}", "PUT", {"vmdef": {**definition, "custom": custom}})
        assert status == 403 and "'owner' of the value 'alice'" in text, text
        made = {**conftest.vmdef(f"more-{n}"), "custom": custom}
        status, text = get(h2, at, "alice", "/vms", "POST", {"vmdef": made, "host": h1.uuid})
        assert status == 403 and "'owner' of the value 'alice'" in text, text
    status, text = get(h2, at, "alice", f"/vms/{mine}", "PUT", {"vmdef": definition})
    assert status == 204, text
    # Who it was is known where it was done.
    users = [o["user"] for o in h1.api("GET", f"/operations?vm={mine}").json()["items"] if o["op"] == "VmUpdate"]
    assert users[0] == "token:alice"


def test_limited_disks(hosts, secrets, vms):
    """What a VM of bob has unmanaged alice gets by no VM of hers, nor a device of the host."""
    h1, h2 = hosts
    path = "/vms/ds/shared.qcow2"
    h1.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "64M"])
    disk = {"path": path, "size": 0, "device": 0, "bus": 0, "prov": 0, "man": 0}
    bobs = conftest.create(h1, conftest.vmdef("bob-shares", osdisk=disk, custom=[{"name": "owner", "value": "bob"}]))
    own = {"custom": [{"name": "owner", "value": "alice"}]}
    for row in (disk, {**disk, "device": 1, "bus": 1},
                {**disk, "path": "/dev/sda", "device": 2, "bus": 1, "man": 1}):
        status, text = get(h2, h2, "alice", "/vms", "POST",
                           {"vmdef": conftest.vmdef("alice-too", osdisk=row, **own), "host": h1.uuid})
        assert status == 403 and "may give them managed disks" in text, (row, status, text)
    definition = json.loads(get(h2, h1, "alice", f"/vms/{vms['alice']}")[1])["def"]
    status, text = get(h2, h2, "alice", f"/vms/{vms['alice']}", "PUT", {"vmdef": {**definition, "disks": [disk]}})
    assert status == 403 and "may give them managed disks" in text, text
    conftest.delete(h1, bobs, storage=False)
    h1.run(["rm", path])


def test_audit(hosts, secrets, vms):
    """Both hosts say who has changed what, and who was refused, and no secret."""
    h1, h2 = hosts
    status, text = get(h1, h2, "operator", f"/vms/{vms['bob']}", "PUT",
                       {"vmdef": json.loads(get(h1, h2, "operator", f"/vms/{vms['bob']}")[1])["def"]})
    assert status == 204, text
    assert get(h2, h1, "viewer", f"/vms/{vms['bob']}", "DELETE")[0] == 403
    line = (rf"audit: user=token:operator role=operator by=token from={re.escape(h1.addr)}(?P<peer> peer=\S+)? "
            rf"method=PUT route=/vms/{{uuid}} vm={vms['bob']} status=204 ms=\d+"
            r"(?P<operation> operation=[0-9a-f-]{36})?\n")
    there = wait_for("the line of the host that did it", lambda: re.search(line, h1.log("virtxd")))
    assert there["peer"] == f" peer={h2.addr}" and there["operation"]
    assert re.search(line, h2.log("virtxd"))
    assert re.search(rf"audit: user=token:viewer role=viewer by=token .*method=DELETE .*vm={vms['bob']} status=403",
                     h1.log("virtxd"))
    done = h2.virtx("list", "operation")
    assert done.returncode == 0 and there["operation"].split("=")[1] in done.stdout, done.stderr
    for host in hosts:
        text = host.log("virtxd") + host.api("GET", "/operations").text
        assert "audit: " in text
        for secret in secrets.values():
            assert secret not in text


def test_stream_ends(hosts, secrets):
    """Who is let in no more reads no further."""
    h1, h2 = hosts
    done = h1.virtx("token", "create", "short", "--role", "viewer")
    h2.run(["tee", "/run/short"], input=f"Authorization: Bearer {done.stdout.strip()}\n")
    stream = h2.popen(["curl", "-s", "-N", "--cacert", "/etc/virtx/ca.pem", "-H", "@/run/short", "-o", "/run/stream",
                       f"https://{h1.addr}:{TLS_PORT}/events"])
    try:
        wait_for("the stream", lambda: "reset" in h2.run(["cat", "/run/stream"], check=False).stdout)
        assert stream.poll() is None
        began = time.monotonic()
        assert h1.virtx("token", "revoke", "short").returncode == 0
        stream.wait(timeout=10 * PATIENCE)
        assert time.monotonic() - began < 2 * PATIENCE
    finally:
        stream.kill()
        stream.wait()
