# SPDX-License-Identifier: GPL-2.0-or-later
"""A proxy in front of a host, with the configuration of the README: what clients have of virtxd through it."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import conftest
import pytest
from conftest import BUILD, PREFIX, ROOT, wait_joined, wait_ready, wait_runstate
from lab import PATIENCE, Lab, readme, wait_for
from lab.daemons import environment, ini, listens
from lab.proxy import CA, NAME, PATH, Proxy, servers
from lab.tls import TLS_PORT, Authority, settings

sys.path.insert(0, os.path.join(ROOT, "test", "bench"))
from simulated import OFF  # noqa: E402

SECRET = re.compile(r"virtx_[0-9a-f]{64}")
REPLY_TIMEOUT = 300  # s, virtxd's by default
READ_TIMEOUT = 2  # s, of nginx where its configuration says nothing; it is 60 by default
MANY_PORT, MANY_SITE = 8444, 444
URL = f"https://{NAME}:443"


def how_many():
    """VMs: a collection of 10,000 takes longer under a sanitizer than virtxd has for one."""
    with open(f"{BUILD}/meson-info/intro-buildoptions.json", encoding="utf-8") as file:
        options = {option["name"]: option["value"] for option in json.load(file)}
    return 10000 if options["b_sanitize"] == "none" else 1000


MANY = how_many()


def configure(host, proxies, **http):
    """Have the host listen as the README has it, and believe these proxies."""
    config = settings(host, log_level="debug")
    config["http"]["listen"] = ["127.0.0.1:8080 open", f"{host.addr}:{TLS_PORT} tls auth"]
    config["http"].update(http, trusted_proxies=proxies)
    host.configure(config)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def lab(authority):
    with Lab(2, build_dir=BUILD, name=f"{PREFIX}px") as lab:
        for host in lab.hosts:
            authority.equip(host)
            configure(host, lab.hosts[1].addr)
            host.restart("virtxd")
        wait_joined(lab)
        yield lab


@pytest.fixture(scope="module")
def proxy(lab, tmp_path_factory):
    """On the second host, in front of the first. Another site of it is in front of the one with many VMs."""
    h1, h2 = lab.hosts
    many = servers(h1, MANY_PORT).replace("listen 443 ssl", f"listen {MANY_SITE} ssl")
    proxy = Proxy(h2, tmp_path_factory.mktemp("web"), f"proxy_read_timeout {READ_TIMEOUT}s;\n",
                  virtx=servers(h1, TLS_PORT), many=many)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def hosts(lab, proxy):
    """The first, whose virtx asks the proxy, and the second."""
    h1 = lab.hosts[0]
    done = h1.virtx("token", "create", "op", "--role", "operator")
    assert done.returncode == 0 and SECRET.fullmatch(done.stdout.strip()), done.stderr
    show(h1, "op", done.stdout.strip())
    return lab.hosts


def show(host, name, secret):
    """The secret in /run/NAME, and the header with it in /run/NAME.header."""
    host.run(["install", "-m", "600", "/dev/stdin", f"/run/{name}"], input=secret)
    host.run(["install", "-m", "600", "/dev/stdin", f"/run/{name}.header"], input=f"Authorization: Bearer {secret}\n")


def options(url=URL, token="op"):
    """Those by which virtx asks the proxy."""
    return ["-A", f"{url}{PATH}", "--ca-file", CA, "--token-file", f"/run/{token}"]


def virtx(host, *args, **kwargs):
    return host.virtx(*options(), *args, **kwargs)


def curl(host, path, *args, base=f"{URL}{PATH}", ca=CA, token="op"):
    """Status, headers (in small letters) and body of an answer."""
    shown = ["-H", f"@/run/{token}.header"] if token else []
    done = host.run(["curl", "-s", "-i", "--cacert", ca, *shown, *args, f"{base}{path}"], timeout=120)
    head, _, body = done.stdout.partition("\n\n")
    first, *lines = head.splitlines()
    return int(first.split()[1]), {name.lower(): value for name, value in
                                   (line.split(": ", 1) for line in lines)}, body


def audit(host, before, method):
    """The fields of the audit's one line of such a request that has come since; the log is longer than it was then."""
    lines = []

    def told():
        lines[:] = [line for line in host.log("virtxd")[before:].splitlines()
                    if " audit: " in line and f" method={method} " in line]
        return lines
    wait_for("the audit's line", told, 10)
    assert len(lines) == 1, lines
    return dict(word.split("=", 1) for word in lines[0].split(" audit: ")[1].split())


def operation(host, uuid, op):
    """That operation on a VM, None before it is there."""
    found = [item for item in host.api("GET", f"/operations?vm={uuid}").json()["items"] if item["op"] == op]
    return found[0] if found else None


def test_lists(hosts):
    h1, h2 = hosts
    direct = curl(h1, "/hosts", base=f"https://{h1.addr}:{TLS_PORT}", ca="/etc/virtx/ca.pem")
    found = curl(h1, "/hosts")
    assert direct[0] == found[0] == 200 and found[1]["content-type"] == "application/json"
    for _, _, body in (direct, found):
        assert {item["uuid"] for item in json.loads(body)["items"]} == {h1.uuid, h2.uuid}
    done = virtx(h1, "list", "host")
    assert done.returncode == 0 and h1.uuid in done.stdout and h2.uuid in done.stdout, done.stderr
    # What is refused is refused by virtxd.
    status, headers, body = curl(h1, "/vms", token=None)
    assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="virtx"') and \
        json.loads(body)["type"] == "/problems/who"
    done = virtx(h1, "token", "list")
    assert done.returncode == 6 and "403: this needs the role 'admin'" in done.stderr
    assert curl(h1, "/nowhere")[0] == 404


def test_path(hosts):
    """Elsewhere than at its path there is no virtxd, and virtx says so in a line."""
    h1, _ = hosts
    for path in ("", "/virt", "/virtx/virtx"):
        done = h1.virtx("-A", URL + path, *options()[2:], "list", "host")
        assert done.returncode == 3 and "404: " in done.stderr and "<" not in done.stderr, done.stderr
    assert h1.virtx("-A", f"{URL}{PATH}/", *options()[2:], "list", "host").returncode == 0
    # Old TLS is not spoken; and who is to be spoken to is looked at.
    done = h1.run(["curl", "-s", "--cacert", CA, "--tls-max", "1.1", f"{URL}{PATH}/healthz"], check=False)
    assert done.returncode == 35
    done = h1.virtx(*options(f"https://{hosts[1].addr}:443"), "list", "host")
    assert done.returncode in (1, 7) and "its certificate is refused: " in done.stderr


def test_life(hosts):
    """A VM's, with operations that are waited for, put off, and followed."""
    h1, h2 = hosts
    vm = conftest.vmdef("proxied")
    done = virtx(h1, "create", "vm", "-h", h1.uuid, "-", input=json.dumps(vm))
    assert done.returncode == 0, done.stderr
    uuid = done.stdout.strip()
    assert virtx(h1, "boot", "vm", uuid).returncode == 0
    # It names an operation, which virtx waits for by its Location.
    done = virtx(h1, "-D", "migrate", "vm", uuid, "-h", h2.uuid, "--live", "--wait")
    assert done.returncode == 0, done.stderr
    location = re.search(r"^< Location: (.*)$", done.stderr, re.M)[1]
    assert location == f"{PATH}/operations/{operation(h1, uuid, 'VmMigrate')['id']}"
    assert f"> GET {location}" in done.stderr
    # Who goes where it leads gets there.
    status, headers, body = curl(h1, f"/vms/{uuid}/runstate/pause", "-X", "POST", "-H", "Prefer: respond-async")
    assert status == 202 and headers["location"] == f"{PATH}/operations/{json.loads(body)['id']}", headers
    wait_for("its end", lambda: json.loads(curl(h1, headers["location"], base=URL)[2])["te"] > 0, 30)
    wait_runstate(h2, uuid, "paused")
    done = virtx(h1, "list", "operation")
    assert done.returncode == 0 and done.stdout.count(uuid) >= 4 and "token:op" in done.stdout
    assert virtx(h1, "shutdown", "vm", "-ff", uuid).returncode == 0
    done = virtx(h1, "delete", "vm", uuid, "--storage")
    assert done.returncode == 0, done.stderr


def set_reply_timeout(host, seconds, proxy):
    """What counts from now on."""
    before = len(host.log("virtxd"))
    configure(host, proxy, reply_timeout=seconds)
    host.signal("virtxd", signal.SIGHUP)
    wait_for("it to be read", lambda: "configuration read again" in host.log("virtxd")[before:], 10)


def test_late_answer(hosts):
    """What takes longer than nginx waits by itself is waited for, until virtxd says that it goes on."""
    h1, h2 = hosts
    assert int(re.search(r"proxy_read_timeout (\d+)s", servers(h1, TLS_PORT))[1]) > REPLY_TIMEOUT
    uuid = conftest.create(h1, conftest.vmdef("late"))

    def is_late():
        begun = operation(h1, uuid, "VmBoot")
        return begun and time.time() - begun["ts"] / 1000 > 2.5 * READ_TIMEOUT
    h1.signal("libvirtd", signal.SIGSTOP)
    try:
        boot = h1.popen([f"{BUILD}/virtx/virtx", *options(), "boot", "vm", uuid], stderr=subprocess.PIPE, text=True)
        wait_for("the boot to be late", is_late, 20)
        assert boot.poll() is None
    finally:
        h1.signal("libvirtd", signal.SIGCONT)
    said = boot.communicate(timeout=60 * PATIENCE)[1]
    assert boot.returncode == 0, said
    set_reply_timeout(h1, 2 * READ_TIMEOUT, h2.addr)
    h1.signal("libvirtd", signal.SIGSTOP)
    try:
        status, headers, body = curl(h1, f"/vms/{uuid}/runstate/pause", "-X", "POST")
        assert status == 504 and headers["content-type"] == "application/problem+json", body
        assert json.loads(body)["operation"] == operation(h1, uuid, "VmPause")["id"]
    finally:
        h1.signal("libvirtd", signal.SIGCONT)
        set_reply_timeout(h1, REPLY_TIMEOUT, h2.addr)
    # Until then the VM is busy, whatever events say of its state.
    wait_for("the end of the pause", lambda: operation(h1, uuid, "VmPause")["te"] > 0, 30)
    wait_runstate(h1, uuid, "paused")
    wait_ready(h1)
    done = virtx(h1, "shutdown", "vm", "-ff", uuid)
    assert done.returncode == 0, done.stderr
    conftest.delete(h1, uuid)


def test_events(hosts, tmp_path):
    """Each comes when it is told, however small; a stream that has been quiet for long goes on."""
    h1, _ = hosts
    said = tmp_path / "said"
    with open(said, "w") as file:
        watch = h1.popen([f"{BUILD}/virtx/virtx", *options(), "watch", "-o", "json"], stdout=-1, stderr=file, text=True)
    try:
        assert json.loads(watch.stdout.readline())["event"] == "reset"
        began = time.monotonic()
        uuid = conftest.create(h1, conftest.vmdef("told"))
        assert any(uuid in line for line in iter(watch.stdout.readline, ""))
        # By what the next comment brings, 15 s later, it would have come, too.
        assert time.monotonic() - began < 10 * PATIENCE
        quiet = time.monotonic()
        wait_for("longer than nginx waits by itself", lambda: time.monotonic() - quiet > 2 * READ_TIMEOUT, 60)
        conftest.delete(h1, uuid)
        assert any(f'"vm":"{uuid}"' in line and "VmDelete" in line for line in iter(watch.stdout.readline, ""))
        # It was one stream. After a restart there is another, until which the proxy answers in its own way.
        assert said.read_text() == ""
        h1.stop("virtxd")
        wait_for("the proxy's word", lambda: "502: Bad Gateway; trying again" in said.read_text(), 30)
        h1.start("virtxd")
        assert any('"event":"reset"' in line for line in iter(watch.stdout.readline, ""))
        assert watch.poll() is None
    finally:
        watch.kill()
        watch.wait()
    wait_joined(h1.lab)


def ask_to_pause(host, *args, **kwargs):
    """A request that is told by the audit, of a VM that there is not."""
    status, _, body = curl(host, f"/vms/{host.uuid}/runstate/pause", "-X", "POST", *args, **kwargs)
    assert status == 404 and json.loads(body)["type"] == "/problems/not-found", body


def test_where_a_request_comes_from(hosts):
    """The audit has the client's address, from a proxy that is believed and from no one else."""
    h1, h2 = hosts
    forged = ("-H", "X-Forwarded-For: 192.0.2.99")
    show(h2, "op", h1.run(["cat", "/run/op"]).stdout)
    direct = {"base": f"https://{h1.addr}:{TLS_PORT}", "ca": "/etc/virtx/ca.pem"}

    def asked(host, *args, **kwargs):
        before = len(h1.log("virtxd"))
        ask_to_pause(host, *args, **kwargs)
        line = audit(h1, before, "POST")
        assert (line["user"], line["by"], line["status"]) == ("token:op", "token", "404")
        return line["from"], line.get("peer")
    for args in ((), forged):
        assert asked(h1, *args) == (h1.addr, h2.addr)
        assert asked(h1, *args, **direct) == (h1.addr, None)
    # A proxy that is not known is who asks.
    configure(h1, None)
    h1.restart("virtxd")
    wait_joined(h1.lab)
    try:
        for args in ((), forged):
            assert asked(h1, *args) == (h2.addr, None)
    finally:
        configure(h1, h2.addr)
        h1.restart("virtxd")
        wait_joined(h1.lab)


def test_host_is_known_to_the_proxy(hosts, authority, proxy):
    """What is not the host's is not asked; what the proxy says by itself is told in a line."""
    h1, _ = hosts

    def refused():
        done = virtx(h1, "list", "host")
        assert "<" not in done.stderr
        return done.returncode == 7 and "502: Bad Gateway" in done.stderr
    assert virtx(h1, "list", "host").returncode == 0
    authority.equip(h1, f"URI:virtx:host:{h1.uuid}, DNS:another")
    try:
        h1.signal("virtxd", signal.SIGHUP)
        # It does not look again at whom it goes on with a session of.
        proxy.stop()
        proxy.start()
        wait_for("the proxy to refuse it", refused, 30)
        assert "upstream SSL certificate does not match" in proxy.log()
    finally:
        authority.equip(h1)
        h1.signal("virtxd", signal.SIGHUP)
    wait_for("the proxy to take it", lambda: virtx(h1, "list", "host").returncode == 0, 30)
    h1.stop("virtxd")
    try:
        assert refused()
    finally:
        h1.start("virtxd")
    wait_joined(h1.lab)


@pytest.fixture
def many(hosts):
    """A virtxd on the first host that has many VMs, which test/bench/standin shows it; its token is 'many'."""
    h1, _ = hosts
    secret, folder, uuid = f"virtx_{'c' * 64}", "/run/manyvms", "00000000-0000-4000-8000-000000000001"
    token = {"name": "many", "role": 1, "created": 1, "expires": 0, "user": "uid:0", "only": {"name": "", "value": ""}}
    config = {
        "virtxd": {"storage_root": f"{folder}/vms", "run_dir": f"{folder}/run"},
        "http": {"listen": f"{h1.addr}:{MANY_PORT} tls auth"},
        "tls": settings(h1)["tls"],
        "libvirt": {"uri": f"sim://{folder}"},
        "serf": {"rpc": "127.0.0.1:1"},
    }
    files = {
        "vms/xml/.virtx-storage": f"{uuid}\n", "vms/ds/.virtx-storage": f"{uuid}\n", "vms/lock/__VIRTX__DISKS__": "",
        "vms/auth/many": json.dumps({"token": token, "hash": hashlib.sha256(secret.encode()).hexdigest()}),
        "host": f"1 {MANY}\n", "states": chr(OFF) * MANY,
        "virtxd.conf": ini(config),
    }
    for name in ("xml", "ds", "lock", "auth"):
        h1.run(["mkdir", "-p", "-m", "700", f"{folder}/vms/{name}"])
    for name, text in files.items():
        h1.run(["install", "-m", "600", "/dev/stdin", f"{folder}/{name}"], input=text)
    h1.run(["mkfifo", f"{folder}/events"])
    show(h1, "many", secret)
    # The host's own sanlock is none of its.
    virtxd = h1.popen(["unshare", "-m", "sh", "-c", 'mount -t tmpfs tmpfs /run/sanlock && exec "$@"', "sh",
                       f"{BUILD}/virtxd/virtxd", "-c", f"{folder}/virtxd.conf"], stderr=subprocess.DEVNULL,
                      env={**environment(h1, "virtxd"), "LD_LIBRARY_PATH": f"{BUILD}/test/bench/standin"})
    try:
        wait_for("it to listen", lambda: listens(h1, (h1.addr, MANY_PORT)), 60)
        yield h1
    finally:
        virtxd.terminate()
        virtxd.wait(60 * PATIENCE)
        h1.run(["rm", "-r", folder])


def test_many_vms(many):
    """A list of 10,000 comes whole, or of as many as a sanitizer leaves time for."""
    site, direct = f"https://{NAME}:{MANY_SITE}{PATH}", f"https://{many.addr}:{MANY_PORT}"

    def listed(base, ca):
        status, headers, body = curl(many, "/vms", base=base, ca=ca, token="many")
        if status != 200:
            return None
        assert len(body) == int(headers["content-length"])
        return {item["uuid"]: item["fields"] for item in json.loads(body)["items"]}
    wait_for("all VMs", lambda: len(listed(direct, "/etc/virtx/ca.pem") or ()) == MANY, 120, 1)
    began = time.monotonic()
    found = listed(site, CA)
    print(f"\n{MANY} VMs through the proxy in {time.monotonic() - began:.2f} s")
    assert found == listed(direct, "/etc/virtx/ca.pem") and len(found) == MANY
    done = many.virtx(*options(f"https://{NAME}:{MANY_SITE}", "many"), "list", "vm", "-o", "json")
    assert done.returncode == 0 and len(json.loads(done.stdout)["items"]) == MANY, done.stderr
    one = f"vm-1-{MANY - 1}"
    done = many.virtx(*options(f"https://{NAME}:{MANY_SITE}", "many"), "list", "vm", "-n", one)
    assert done.returncode == 0 and done.stdout.count(one) == 1, done.stdout


def test_the_command_of_the_readme(hosts):
    """As it stands there, but for the files."""
    h1, _ = hosts
    command = readme.block("virtx -A", "A proxy in front").strip()
    assert f" {URL}{PATH} " in command
    words = command.replace("~/.virtx-token", "/run/op").split()[1:]
    assert h1.virtx(*words, env={"VIRTX_CA_FILE": CA}).returncode == 0
