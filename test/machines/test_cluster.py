# SPDX-License-Identifier: GPL-2.0-or-later
"""Three hosts of bare Debian and the packages by `virtx cluster`, two commands on the first and one on each other: all
that goes between them, a live migration as well, can be read by nobody."""

import json
import os
import re
import ssl
import time

import pytest
from conftest import PREFIX, TIMES
from lab import rest, wait_for
from test_package import put
from vmlab import VmLab, each, guest, net, setup
from vmlab.capture import Capture

MOUNT = """\
mkdir /vms
echo 'nfs:/srv/vms /vms nfs vers=4.2,hard,_netdev,bg 0 0' >> /etc/fstab
systemctl daemon-reload
mount /vms
"""
MARK = "can-be-read-4711"
BIOS = b"SeaBIOS"  # is in the memory of each guest


def prepare(lab, packages):
    """What the README has before `virtx cluster`: the packages, and the storage."""
    lab.storage.shell("mkdir /srv/vms; cat >> /etc/exports; exportfs -ra", input=setup.EXPORTS)
    for host in lab.hosts:
        put(host, packages)
    each(lambda host: host.shell(MOUNT, timeout=180), lab.hosts)


def cluster(host, *words, timeout=600, **more):
    with host.lab.timed(f"{host.name}: virtx cluster {words[0]}"):
        done = host.virtx("cluster", *words, timeout=timeout, **more)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


class Seen:
    """What came of it."""

    def __init__(self, lab, capture):
        self.lab = lab
        self.capture = capture
        self.vm = ""
        self.secrets = []


def speak(source, target):
    """What is not encrypted is found."""
    source.shell(f"echo {MARK} > /dev/udp/{target.addr}/9")


def place(host, uuid):
    """The UUID of the host that the VM is on."""
    shown = wait_for("the VM to be known", lambda: (found := host.virtx("get", "runstate", "vm", uuid, "-o", "json"))
                     .returncode == 0 and found.stdout, 60, 0.5)
    return json.loads(shown)["host"]


def live(lab):
    """A VM that is created, booted, and moved live; its UUID."""
    h1 = lab.hosts[0]
    h1.write("/root/vm.json", json.dumps(guest.definition(lab, "guest")))
    uuid = h1.virtx("create", "vm", "/root/vm.json", check=True).stdout.strip()
    booted = h1.virtx("boot", "vm", uuid, timeout=120)
    assert booted.returncode == 0, booted.stderr
    guest.wait_counting(lab, "guest")
    for _ in range(2):
        source = place(h1, uuid)
        target = next(host for host in lab.hosts if host.uuid != source)
        with lab.timed(f"migrate it live to {target.name}"):
            moved = h1.virtx("migrate", "vm", uuid, "-h", target.uuid, "--live", "--wait", timeout=240)
        assert moved.returncode == 0, moved.stderr
        assert place(h1, uuid) == target.uuid
        guest.wait_counting(lab, "guest")
    return uuid


@pytest.fixture(scope="module")
def seen(new, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("capture") / "frames")
    with VmLab(3, name=f"{PREFIX}clu", snapshot="bare") as lab:
        h1, *others = lab.hosts
        prepare(lab, new)
        seen = Seen(lab, Capture(lab, path))
        try:
            with seen.capture:
                speak(h1, others[0])
                cluster(h1, "init", "--address", h1.addr, "--yes")
                for host in others:
                    token = cluster(h1, "token").strip()
                    seen.secrets.append(token.rpartition("/")[2])
                    cluster(host, "join", "-", "--yes", input=token + "\n")
                wait_for("all to see all", lambda: all(host.virtx("list", "host").stdout.count(" active ") == lab.n
                                                       for host in lab.hosts), 60, 1)
                seen.vm = live(lab)
                yield seen
        finally:
            os.unlink(path)
            TIMES.append(lab.times())


def ask(lab, host, token):
    """The status of an answer by TLS, verified, with that token."""
    context = ssl.create_default_context(cadata=lab.hosts[0].read("/etc/virtx/ca.pem"))
    sock = net.open_socket(lab.name)
    sock.settimeout(30)
    sock.connect((host.addr, 8080))
    sock = context.wrap_socket(sock, server_hostname=host.addr)
    return rest.request(sock, f"{host.addr}:8080", "GET", "/vms", headers={"Authorization": f"Bearer {token}"}).status


def time_revoked(lab, name, at):
    """Seconds until all hosts refuse a token, from the end of its revocation on the host."""
    said = at.virtx("token", "create", name, "--role", "viewer", check=True).stdout
    token = said.strip()
    for host in lab.hosts:
        wait_for(f"{host.name} to know the token", lambda host=host: ask(lab, host, token) == 200, 60, 0.2)
    at.virtx("token", "revoke", name, check=True)
    began = time.monotonic()
    for host in lab.hosts:
        wait_for(f"{host.name} to refuse it", lambda host=host: ask(lab, host, token) in (401, 429), 60, 0.1)
    return time.monotonic() - began, token


def test_revoked(seen):
    """A token that was revoked is refused by all hosts, by gossip, and by what they read where that is gone."""
    lab = seen.lab
    took, token = time_revoked(lab, "first", lab.hosts[1])
    TIMES.append(f"a revoked token was refused by all {took:.1f} s later\n")
    seen.secrets.append(token)
    for host in lab.hosts:
        host.stop("serf")
    took_alone, token = time_revoked(lab, "second", lab.hosts[1])
    TIMES.append(f"without serf {took_alone:.1f} s later\n")
    seen.secrets.append(token)
    for host in lab.hosts:
        host.start("serf")
    assert took_alone < 60


def test_renewal(seen):
    """The timer's service does what it is to, under the limits of its unit."""
    for host in seen.lab.hosts:
        host.run(["systemctl", "start", "virtx-renew.service"], timeout=120)
        assert "last for long enough" in host.log("virtx-renew.service")


def test_again(seen):
    """Nothing is done a second time."""
    h1, *_ = seen.lab.hosts
    before = h1.shell("sha256sum /etc/virtx/* /etc/libvirt/*.conf /etc/serf/*").stdout
    pids = {unit: h1.pid(unit) for unit in ("libvirtd", "sanlock", "wdmd", "serf", "virtxd")}
    assert "nothing is written" in cluster(h1, "init", "--address", h1.addr, "--yes")
    assert h1.shell("sha256sum /etc/virtx/* /etc/libvirt/*.conf /etc/serf/*").stdout == before
    assert {unit: h1.pid(unit) for unit in pids} == pids


def test_watched(seen):
    """Each host is protected by the watchdog, and none of them runs QEMU as root."""
    for host in seen.lab.hosts:
        assert re.search(r'"watchdog":""', host.shell(
            "curl -s --unix-socket /run/virtx/virtxd.sock http://localhost/readyz").stdout)
        assert "root" not in host.qemu_users()


def test_nothing_to_read(seen):
    """Of what went between the hosts: neither HTTP, nor what serf tells, nor a guest's memory, nor a secret."""
    lab = seen.lab
    seen.capture.end()
    assert seen.capture.lost == 0
    TIMES.append(f"{seen.capture.size() >> 20} MiB went between the hosts\n")
    assert seen.capture.size() > 1 << 20
    words = [b"HTTP/1", b"virtx", seen.vm.encode(), BIOS, *(host.uuid.encode() for host in lab.hosts),
             *(secret.encode() for secret in seen.secrets)]
    assert seen.capture.find([MARK.encode(), *words]) == {MARK.encode()}
    # Nor what a daemon tells.
    for host in lab.hosts:
        log = host.run(["journalctl", "--no-pager", "-b"]).stdout
        assert not [secret for secret in seen.secrets if secret in log]


def unit_states(host, unit):
    """Whether it runs, and whether it will."""
    return host.run(["systemctl", "show", "--value", "-p", "ActiveState", "-p", "UnitFileState", unit]).stdout.split()


def test_leave(seen):
    """A host leaves, and nothing of the cluster is left on it; forgotten, it joins again by a token for it alone."""
    lab = seen.lab
    h1, *_, host = lab.hosts
    done = h1.virtx("maintain", "host", host.uuid, "--wait", timeout=300)
    assert done.returncode == 0, done.stderr
    assert place(h1, seen.vm) != host.uuid
    said = cluster(host, "leave", "--yes")
    assert f"virtx forget host {host.uuid}" in said and "virtxd stays stopped" in said
    for unit in ("virtxd.service", "serf.service", "virtx-renew.timer"):
        assert unit_states(host, unit) == ["inactive", "disabled"], unit
    assert unit_states(host, "libvirtd.service")[0] == "active"
    assert "__VIRTX__" not in host.run(["sanlock", "client", "gets"]).stdout
    left = host.shell("find /etc/virtx /etc/pki /etc/serf -type f 2>/dev/null || true").stdout.split()
    assert not [path for path in left if path.endswith((".pem", ".key", ".virtx-old", "/cluster-pending"))], left
    assert not host.shell("grep -rl 'virtx cluster: begin' /etc || true").stdout
    wait_for("it to have left", lambda: " left " in h1.virtx("list", "host").stdout, 60, 1)
    guest.wait_counting(lab, "guest")

    h1.virtx("forget", "host", host.uuid, check=True)
    refuses = "test -s /etc/pki/CA/cacrl.pem && ! test -e /run/virtx/crl.pem"
    wait_for("libvirt of each to refuse it", lambda: all(other.shell(refuses, check=False).returncode == 0
                                                         for other in lab.hosts[:-1]), 60, 1)
    token = cluster(h1, "token", "--host", host.uuid).strip()
    cluster(host, "join", "-", "--yes", input=token + "\n")
    wait_for("all to see all", lambda: all(other.virtx("list", "host").stdout.count(" active ") == lab.n
                                           for other in lab.hosts), 120, 1)
