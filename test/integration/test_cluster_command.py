# SPDX-License-Identifier: GPL-2.0-or-later
"""`virtx cluster`: a host makes a cluster, and another one joins it over TLS.

The lab's daemons are not systemd's, and have folders of their own: the command writes to a folder that stands for the
host's root, and what it has written there is what the daemons are started with."""

import hashlib
import json
import os
import re
import subprocess
import time

import pytest
from conftest import BUILD, PREFIX, create, delete, vmdef, wait_joined, wait_ready
from lab import Lab, wait_for
from lab.util import write
from test_gossip import hosts

ROOT = "/run/cluster-root"
PORT = 8080
SOCKET = "unix:/run/virtx/virtxd.sock"


def make_root(host):
    """A folder like the root of a Debian where all is installed and nothing configured."""
    host.run(["sh", "-ec", f"""
        mkdir -p {ROOT}/etc/libvirt {ROOT}/lib/systemd/system
        cp /etc/passwd /etc/group {ROOT}/etc/
        grep -q ^libvirt-qemu: /etc/passwd || echo libvirt-qemu:x:64055:64055::/:/bin/false >> {ROOT}/etc/passwd
        grep -q ^libvirt-qemu: /etc/group || echo libvirt-qemu:x:64055: >> {ROOT}/etc/group
        touch {ROOT}/etc/debian_version {ROOT}/lib/systemd/system/libvirtd.service
        echo 'host_uuid = "{host.uuid}"' > {ROOT}/etc/libvirt/libvirtd.conf"""])


def read(host, path):
    with open(host.path(f"{ROOT}{path}"), encoding="utf-8") as file:
        return file.read()


def start(host):
    """The host's daemons, by what the command has written."""
    for name in ("ca.pem", "ca.key", "crl.pem", "host.pem", "host.key", "serf.key", "serf-encrypt.key"):
        if os.path.exists(host.path(f"{ROOT}/etc/virtx/{name}")):
            write(f"{host.state}/etc-virtx/{name}", read(host, f"/etc/virtx/{name}"), 0o600)
    serf = json.loads(read(host, "/etc/serf/virtx.json"))
    assert serf["bind"] == host.addr and len(serf["encrypt_key"]) == 44
    # /var/lib is that of all hosts of the lab.
    serf.update(node_name=host.name, snapshot_path="/run/serf.snapshot", retry_interval="1s")
    write(f"{host.state}/etc-virtx/serf.json", json.dumps(serf), 0o600)
    written = read(host, "/etc/virtx/virtxd.conf")
    assert f"listen = {host.addr}:{PORT} tls auth\n" in written
    keys = {"tls": ("certificate", "key", "ca", "ca_key"), "serf": ("rpc_auth_file", "encrypt_key_file")}
    found = {section: {key: match[1] for key in names if (match := re.search(rf"^{key} = (.*)$", written, re.M))}
             for section, names in keys.items()}
    host.configure({"http": {"listen": [f"127.0.0.1:{PORT} open", f"{host.addr}:{PORT} tls auth"]}, "tls": found["tls"],
                    "serf": {"rpc_auth": None, **found["serf"]}})
    for daemon in ("serf", "virtxd"):
        if host.alive(daemon):
            host.stop(daemon)
        host.start(daemon)


def cluster(host, *words, **more):
    return host.virtx("-A", SOCKET, "cluster", *words, **more)


def make_token(host, *words):
    done = cluster(host, "token", *words, check=True)
    token = done.stdout.strip()
    assert f"joins the cluster of {token.split('/')[1]} by it" in done.stderr, done.stderr
    return token


def join(host, token, root=ROOT, words=()):
    return cluster(host, "join", "-", "--root", root, "--yes", *words, input=token + "\n")


def asked(host):
    """How many requests to join have come to the host."""
    text = host.api("GET", "/metrics").text
    return sum(int(n) for n in re.findall(r'^virtx_http_requests_total\{.*cluster/join.*\} (\d+)$', text, re.M))


@pytest.fixture(scope="module")
def lab():
    with Lab(2, build_dir=BUILD, name=f"{PREFIX}clu") as lab:
        h1, h2 = lab.hosts
        for host in lab.hosts:
            make_root(host)
        for daemon in ("virtxd", "serf"):
            h2.stop(daemon)
        done = cluster(h1, "init", "--address", h1.addr, "--root", ROOT, "--yes")
        assert done.returncode == 0, done.stderr
        start(h1)
        wait_ready(h1)
        yield lab


def test_refused_tokens(lab):
    """Wrong by one bit, nothing is sent; late, it is refused; and neither has used anything up."""
    h1, h2 = lab.hosts
    token = make_token(h1)
    before = asked(h1)
    at = token.index("/", len("virtx-join/")) + 1
    wrong = token[:at] + format(int(token[at], 16) ^ 1, "x") + token[at + 1:]
    done = join(h2, wrong)
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "fingerprint" in done.stderr, done.stderr
    assert asked(h1) == before
    assert os.listdir(h2.path(f"{ROOT}/etc/virtx")) == ["cluster.lock"]

    short = h1.run(["curl", "-sf", "--unix-socket", "/run/virtx/virtxd.sock", "-H", "Content-Type: application/json",
                    "-d", '{"lifetime": 1}', "http://localhost/cluster/tokens"])
    made = json.loads(short.stdout)
    late = f"virtx-join/{made['addresses']}/{made['fingerprint']}/{made['secret']}"
    wait_for("the token to be over", lambda: time.time() * 1000 > made["expires"], 5)
    done = join(h2, late)
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "expired" in done.stderr, done.stderr
    guessed = token[:-1] + format(int(token[-1], 16) ^ 1, "x")
    done = join(h2, guessed)
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "no token has this secret" in done.stderr, done.stderr
    # The secret is no credential for anything else.
    secret = token.rpartition("/")[2]
    answer = h1.run(["curl", "-sk", "-H", f"Authorization: Bearer {secret}", f"https://{h1.addr}:{PORT}/vms"])
    assert '"status":403' in answer.stdout and "join" in answer.stdout
    for text in (h1.log("virtxd"), h2.log("virtxd")):
        assert secret not in text and made["secret"] not in text


def test_join(lab):
    h1, h2 = lab.hosts
    token = make_token(h1, "--expires", "30m")
    before = asked(h1)
    done = join(h2, token)
    assert done.returncode == 0, done.stderr
    assert asked(h1) == before + 1
    assert not os.path.exists(h2.path(f"{ROOT}/etc/virtx/ca.key"))
    number = int.from_bytes(hashlib.md5(h2.uuid.encode()).digest()[:4], "big") % 2000 + 1
    assert f"host_id = {number}\n" in read(h2, "/etc/libvirt/qemu-sanlock.conf")
    start(h2)
    wait_joined(lab)
    # One asks the other, by TLS and its certificate.
    answer = h1.api("POST", f"/hosts/{h2.uuid}/repair", {}, timeout=120)
    assert answer.status == 200, answer.text

    # Once more by the same host: it is of the cluster, and nothing is sent.
    before = asked(h1)
    done = join(h2, token)
    assert done.returncode == 0 and "of this cluster already" in done.stdout, done.stderr
    assert asked(h1) == before
    # By another one.
    other = f"{ROOT}-other"
    h2.run(["sh", "-ec", f"cp -r {ROOT} {other}; rm -r {other}/etc/virtx {other}/etc/pki"])
    done = join(h2, token, other)
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "has joined by this token already" in done.stderr, done.stderr
    # With a token of its own, but the UUID of a host that is there.
    done = join(h2, make_token(h1), other)
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "is active and has this UUID" in done.stderr, done.stderr
    # And as another host, that has the same name.
    with open(h2.path(f"{other}/etc/libvirt/libvirtd.conf"), encoding="utf-8") as file:
        text = file.read()
    new = h2.uuid[:-1] + format(int(h2.uuid[-1], 16) ^ 1, "x")
    write(h2.path(f"{other}/etc/libvirt/libvirtd.conf"), text.replace(h2.uuid, new))
    done = join(h2, make_token(h1), other)
    assert done.returncode in (1, 3, 4, 5, 6, 7) and f"'{h2.name}' is that of another host" in done.stderr, done.stderr
    # Only a host with the CA's key makes tokens.
    done = cluster(h2, "token")
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "does not have the key" in done.stderr, done.stderr


def test_status(lab):
    """What each host says of itself is in one table."""
    h1, h2 = lab.hosts
    wait_joined(lab)
    text = cluster(h1, "status", check=True).stdout
    assert text.splitlines()[0].split() == ["UUID", "NAME", "STATE", "VERSION", "CERTIFICATE", "LOCKSPACE", "STORAGE",
                                            "CLOCK", "WATCHDOG", "PROBLEMS"]
    version = h1.api("GET", "/readyz").json()["version"]
    for host in lab.hosts:
        row = next(line for line in text.splitlines() if line.startswith(host.uuid)).split()
        assert row[1:4] == [host.name, "active", version], text
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", row[4]) and row[5].isdigit() and row[6] == "ok", text


def certificate(host):
    return host.run(["openssl", "x509", "-noout", "-fingerprint", "-subject", "-ext", "subjectAltName", "-in",
                     f"{ROOT}/etc/virtx/host.pem"]).stdout


def test_renew(lab):
    """By a host that has the CA's key, and by one that has to find it; each is for the same host and names as before."""
    h1, h2 = lab.hosts
    for host in lab.hosts:
        before = certificate(host)
        assert f"URI:virtx:host:{host.uuid}" in before and f"IP Address:{host.addr}" in before
        done = cluster(host, "renew", "--root", ROOT, check=True)
        assert "last for long enough" in done.stdout and certificate(host) == before
        done = cluster(host, "renew", "--force", "--root", ROOT)
        assert done.returncode == 0, done.stderr
        assert "written: /etc/virtx/host.pem" in done.stdout and "qemu.conf" not in done.stdout
        after = certificate(host)
        assert after.splitlines()[0] != before.splitlines()[0] and after.splitlines()[1:] == before.splitlines()[1:]
        host.run(["openssl", "verify", "-CAfile", "/etc/virtx/ca.pem", f"{ROOT}/etc/virtx/host.pem",
                  f"{ROOT}/etc/pki/qemu/server-cert.pem"])
        start(host)
        wait_joined(lab)
    wait_for("the hosts to ask each other again", lambda: h1.api("POST", f"/hosts/{h2.uuid}/repair", {}, timeout=120)
             .status == 200, 30)


def test_renew_refused(lab):
    """Not for who shows no certificate of a host: neither a token nor QEMU's own is one."""
    h1, _ = lab.hosts
    token = h1.virtx("-A", SOCKET, "token", "create", "boss", "--role", "admin", check=True).stdout.strip()
    ask = ["curl", "-sk", "-H", "Content-Type: application/json", "-d", '{"request": "x", "qemu_request": "x"}',
           f"https://{h1.addr}:{PORT}/cluster/certificates"]
    assert '"status":403' in h1.run([*ask, "-H", f"Authorization: Bearer {token}"]).stdout
    qemu = [f"{ROOT}/etc/pki/qemu/server-{part}.pem" for part in ("cert", "key")]
    assert '"status":401' in h1.run([*ask, "--cert", qemu[0], "--key", qemu[1]]).stdout
    own = [f"{ROOT}/etc/virtx/host.{part}" for part in ("pem", "key")]
    assert '"status":400' in h1.run([*ask, "--cert", own[0], "--key", own[1]]).stdout


def use_pki(host):
    """libvirtd and QEMU with the certificates that the command has written, as it has written them."""
    host.run(["sh", "-ec", f"""
        mkdir -p /etc/pki
        ! mountpoint -q /etc/pki || umount /etc/pki
        mount --bind {ROOT}/etc/pki /etc/pki
        chmod 755 /etc/virtx"""])
    settings = {name: re.search(r"# virtx cluster: begin\n(.*)# virtx cluster: end\n", read(host, f"/etc/libvirt/{name}.conf"),
                                re.S).group(1) for name in ("libvirtd", "qemu")}
    settings["qemu"] = "".join(f"{line}\n" for line in settings["qemu"].splitlines() if line.startswith("migrate_"))
    for name, text in settings.items():
        conf = f"{host.state}/etc-libvirt/{name}.conf"
        with open(conf, encoding="utf-8") as file:
            before = file.read().replace("listen_tls = 0\n", "")
        if text not in before:
            write(conf, before + text)
    host.restart("libvirtd")


def use_migration(host, tls):
    with open(f"{host.state}/etc-virtx/virtxd.conf", encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"^migrate_uri = .*\n(migrate_tls = .*\n)?",
                  f"migrate_uri = qemu+tls://%s/system\nmigrate_tls = {tls}\n", text, flags=re.M)
    write(f"{host.state}/etc-virtx/virtxd.conf", text, 0o600)
    host.restart("virtxd")


def move(h1, h2, uuid):
    begun = h1.api("POST", f"/vms/{uuid}/runstate/migrate", {"host": h2.uuid, "migration_type": 1}, timeout=60)
    assert begun.status == 202, begun.text

    def ended():
        found = h1.api("GET", begun.headers["Location"]).json()
        return found["state"] != "started" and found
    return wait_for("the migration to end", ended, 90)


def check_move(h1, h2, uuid):
    done = move(h1, h2, uuid)
    assert done["state"] == "completed", done
    assert uuid in h2.virsh("list", "--uuid").stdout
    assert h2.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}, timeout=60).status == 204
    delete(h2, uuid)


def test_migration(lab):
    """libvirt takes the certificates, and of hosts alone; QEMU sends nothing that is not encrypted."""
    h1, h2 = lab.hosts
    for host in (h2, h1):  # who asks has no connection from before
        use_pki(host)
        use_migration(host, "no")
    wait_joined(lab)

    uri = f"qemu+tls://{h1.addr}/system"
    assert h2.run(["virsh", "-c", uri, "hostname"]).stdout.strip() == h1.name
    # QEMU's own, which is of the same CA.
    h2.run(["sh", "-ec", "mkdir -p /run/wrong; cd /etc/pki/qemu; cp ca-cert.pem /run/wrong/cacert.pem"
            "; cp client-cert.pem /run/wrong/clientcert.pem; cp client-key.pem /run/wrong/clientkey.pem"])
    before = len(h1.log("libvirtd"))
    assert h2.run(["virsh", "-c", f"{uri}?pkipath=/run/wrong", "hostname"], check=False).returncode != 0
    assert "authentication failed: Failed to verify peer's certificate" in h1.log("libvirtd")[before:]

    uuid = create(h1, vmdef("tls"))
    assert h1.api("POST", f"/vms/{uuid}/runstate/boot", {}, timeout=60).status == 204
    plain = move(h1, h2, uuid)
    assert plain["state"] == "failed" and "TLS" in json.dumps(plain), plain
    for host in (h2, h1):
        use_migration(host, "yes")
    wait_joined(lab)
    check_move(h1, h2, uuid)


def away(lab):
    """The second host stops, and the first one has seen it."""
    h1, h2 = lab.hosts
    for daemon in ("virtxd", "serf"):
        h2.kill(daemon)
    wait_for("the second host to be away", lambda: hosts(h1)[h2.uuid][1] != 1, 60)


def test_put_out(lab):
    """One that was forgotten is no host any more, though serf has it, until it joins by a token for it alone."""
    h1, h2 = lab.hosts
    before = make_token(h1)
    away(lab)
    done = h1.virtx("-A", SOCKET, "forget", "host", h2.uuid)
    assert done.returncode == 0, done.stderr
    assert os.path.exists(h1.path(f"/vms/auth/.out.{h2.uuid}"))
    # And one that nobody knows, as it was away for too long.
    unknown = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
    done = h1.virtx("-A", SOCKET, "forget", "host", unknown)
    assert done.returncode == 0 and f"no host '{unknown}' is known" in done.stderr, done.stderr
    assert os.path.exists(h1.path(f"/vms/auth/.out.{unknown}"))
    for daemon in ("serf", "virtxd"):
        h2.start(daemon)
    wait_for("it to be a member", lambda: hosts(h1).get(h2.uuid, (None, None))[1] == 1, 60)

    def refused():
        answer = h2.api("POST", f"/hosts/{h1.uuid}/repair", {}, timeout=120)
        return answer.status == 403 and "was put out of the cluster" in answer.text
    wait_for("its certificate to be refused", refused, 60)
    done = cluster(h2, "renew", "--force", "--root", ROOT)
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "was put out of the cluster" in done.stderr, done.stderr
    # Nor is it asked anything, or chosen.
    answer = h1.api("POST", "/vms", {"vmdef": vmdef("out"), "host": h2.uuid})
    assert answer.status == 409 and "was put out of the cluster" in answer.text, answer.text
    plan = h1.api("POST", "/vms?dry_run=1", {"vmdef": vmdef("out"), "host": ""}).json()
    assert plan["host"] == h1.uuid, plan
    assert "was put out" in next(item["reason"] for item in plan["candidates"] if item["host"] == h2.uuid), plan

    # As one that was installed anew, and is known again.
    away(lab)
    h2.run(["rm", "-r", f"{ROOT}/etc/virtx", f"{ROOT}/etc/pki"])
    done = join(h2, make_token(h1))
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "has this UUID and is away" in done.stderr, done.stderr
    assert h1.virtx("-A", SOCKET, "forget", "host", h2.uuid).returncode == 0
    done = join(h2, before)
    assert done.returncode == 6 and "is from before a host was put out of the cluster" in done.stderr, done.stderr
    done = join(h2, make_token(h1))
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "'virtx cluster token --host' makes a token" in done.stderr, done.stderr
    let_in(lab)


def test_put_out_active(lab):
    """One that somebody has broken into is put out while it is active: its VMs run on there, and nothing of it is believed."""
    h1, h2 = lab.hosts
    wait_joined(lab)
    uuid = create(h2, vmdef("left"))
    assert h2.api("POST", f"/vms/{uuid}/runstate/boot", {}, timeout=60).status == 204
    wait_for("the other host to know", lambda: h1.api("GET", f"/vms/{uuid}/runstate").json().get("runstate") == 4, 30)
    done = h1.virtx("-A", SOCKET, "forget", "host", h2.uuid)
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "--put-out" in done.stderr, done.stderr
    # By itself it is not.
    done = h1.virtx("-A", SOCKET, "forget", "host", "--put-out", h1.uuid)
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "is this one" in done.stderr, done.stderr
    done = h1.virtx("-A", SOCKET, "forget", "host", "--put-out", h2.uuid)
    assert done.returncode == 0 and "its 1 VMs run on there, out of reach" in done.stderr, done.stderr
    assert os.path.exists(h1.path(f"/vms/auth/.out.{h2.uuid}"))

    # At once, by those connections, too, which it has already.
    answer = h2.api("POST", f"/hosts/{h1.uuid}/repair", {}, timeout=120)
    assert answer.status == 403 and "was put out of the cluster" in answer.text, answer.text
    assert cluster(h2, "renew", "--force", "--root", ROOT).returncode in (1, 3, 4, 5, 6, 7)
    for answer in (h1.api("POST", "/vms", {"vmdef": vmdef("out"), "host": h2.uuid}),
                   h1.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}), h1.api("GET", f"/vms/{uuid}")):
        assert answer.status == 409 and "was put out of the cluster" in answer.text, answer.text
    # It is shown as serf has it, with the VM as that was; nothing that it tells changes that.
    assert h2.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}, timeout=60).status == 204
    other = create(h2, vmdef("unheard"))
    wait_for("the other host to name it as a problem", lambda: any(
        problem["kind"] == "put-out" and h2.uuid in problem["detail"]
        for problem in h1.api("GET", f"/hosts/{h1.uuid}").json()["problems"]), 60)
    assert hosts(h1)[h2.uuid][1] == 1
    assert h1.api("GET", f"/vms/{uuid}/runstate").json()["runstate"] == 4
    assert h1.api("GET", f"/vms/{other}/runstate").status in (404, 503)
    for name in (uuid, other):
        delete(h2, name)

    away(lab)
    done = h1.virtx("-A", SOCKET, "forget", "host", h2.uuid)
    assert done.returncode == 0 and h2.uuid not in hosts(h1), done.stderr
    h2.run(["rm", "-r", f"{ROOT}/etc/virtx", f"{ROOT}/etc/pki"])
    let_in(lab)


def let_in(lab):
    """The second host, which was put out, joins by a token for it alone."""
    h1, h2 = lab.hosts
    done = join(h2, make_token(h1, "--host", h2.uuid))
    assert done.returncode == 0, done.stderr
    assert not os.path.exists(h1.path(f"/vms/auth/.out.{h2.uuid}"))
    start(h2)
    wait_joined(lab)
    wait_for("the hosts to ask each other again", lambda: h2.api("POST", f"/hosts/{h1.uuid}/repair", {}, timeout=120)
             .status == 200, 60)


def take_over(host):
    """What virtx-renew.path has done by systemd, which the lab has not: libvirt reads what virtxd hands over. What it says."""
    said = []

    def done():
        if os.path.exists(host.path("/run/virtx/crl.pem")):
            host.run(["mkdir", "-p", "/run/systemd/system"])
            renewed = cluster(host, "renew")
            host.run(["rmdir", "-p", "--ignore-fail-on-non-empty", "/run/systemd/system"])
            assert renewed.returncode == 0 and "server-update-tls libvirtd" in renewed.stdout, renewed
            said.append(renewed.stdout)
        known = host.api("GET", "/readyz").json()["tokens"]
        print(host.name, known)
        return said and not known
    wait_for("libvirt to have what virtxd hands over", done, 40, 0.5)
    return "".join(said)


def ask_libvirt(host, to, pki=""):
    return host.run(["virsh", "-c", f"qemu+tls://{to.addr}/system{pki}", "hostname"], check=False)


def ask_qemu(host, server, pki):
    """Whether QEMU takes its certificate, as that of a migration."""
    opts = "tls-creds-x509,id=t,endpoint={},dir={}"
    daemon = server.popen(["qemu-nbd", "-t", "-f", "raw", "-p", "10810", "--tls-creds", "t", "--object",
                           opts.format("server", "/etc/pki/qemu") + ",verify-peer=yes", "/run/nothing"])
    try:
        wait_for("it to listen", lambda: "10810" in server.run(["ss", "-ltn"]).stdout, 20)
        return host.run(["qemu-img", "info", "--object", opts.format("client", pki), "--image-opts",
                         f"driver=nbd,host={server.addr},port=10810,tls-creds=t"], check=False)
    finally:
        daemon.terminate()
        daemon.wait(20)


def tls_clients(host):
    listed = host.run(["virt-admin", "-c", "libvirtd:///system", "client-list", "libvirtd"]).stdout
    return [line.split()[0] for line in listed.splitlines() if line.split()[1:2] == ["tls"]]


def test_put_out_of_libvirt(lab):
    """libvirt and QEMU refuse whoever has the certificate of a host that was put out, and nobody else."""
    h1, h2 = lab.hosts
    wait_joined(lab)
    # One that nobody knows was put out, and those that stay move VMs.
    for host in (h2, h1):
        use_pki(host)
        use_migration(host, "yes")
        take_over(host)
    wait_joined(lab)
    uuid = create(h1, vmdef("moves"))
    assert h1.api("POST", f"/vms/{uuid}/runstate/boot", {}, timeout=60).status == 204
    check_move(h1, h2, uuid)

    # It was renewed since it was stolen.
    h1.run(["truncate", "-s", "1M", "/run/nothing"])
    h2.run(["sh", "-ec", "mkdir /run/stolen; cd /etc/pki; cp CA/cacert.pem libvirt/client* libvirt/private/client* /run/stolen"
            "; cp -r qemu /run/stolen-qemu; rm -f /run/stolen-qemu/ca-crl.pem"])
    stolen = "?pkipath=/run/stolen"
    assert cluster(h2, "renew", "--force", "--root", ROOT).returncode == 0
    for pki in ("", stolen):
        assert ask_libvirt(h2, h1, pki).stdout.strip() == h1.name
    assert ask_qemu(h2, h1, "/run/stolen-qemu").returncode == 0
    away(lab)
    others = tls_clients(h1)
    connected = h2.popen(["virsh", "-c", f"qemu+tls://{h1.addr}/system{stolen}"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    wait_for("it to be connected", lambda: len(tls_clients(h1)) == len(others) + 1, 30)
    done = h1.virtx("-A", SOCKET, "forget", "host", h2.uuid)
    assert done.returncode == 0 and "arning" not in done.stderr, done.stderr
    assert f"disconnected from libvirtd: host {h2.uuid}\n" in take_over(h1)
    assert set(tls_clients(h1)) <= set(others)
    connected.kill()
    connected.wait(20)
    for pki in ("", stolen):
        before = len(h1.log("libvirtd"))
        assert ask_libvirt(h2, h1, pki).returncode != 0
        assert "The certificate has been revoked" in h1.log("libvirtd")[before:]
    asked = ask_qemu(h2, h1, "/run/stolen-qemu")
    assert asked.returncode != 0, asked.stdout
    assert ask_libvirt(h1, h1).stdout.strip() == h1.name
    # Also when it has been started anew.
    h1.restart("libvirtd")
    assert ask_libvirt(h2, h1, stolen).returncode != 0
    assert ask_libvirt(h1, h1).stdout.strip() == h1.name

    h2.run(["sh", "-ec", f"rm -r {ROOT}/etc/virtx {ROOT}/etc/pki/*"])
    let_in(lab)
    # What it gets now has other numbers, and whoever has stolen what it had before has that for nothing.
    assert h1.api("GET", "/readyz").json()["tokens"] == ""
    assert ask_libvirt(h2, h1).stdout.strip() == h1.name
    assert ask_libvirt(h2, h1, stolen).returncode != 0
    assert ask_qemu(h2, h1, "/run/stolen-qemu").returncode != 0
    answer = h2.run(["curl", "-sk", "--cert", "/run/stolen/clientcert.pem", "--key", "/run/stolen/clientkey.pem",
                     f"https://{h1.addr}:{PORT}/vms"])
    assert '"status":403' in answer.stdout and "from before it was put out" in answer.stdout, answer.stdout
    h1.run(["rmdir", "--ignore-fail-on-non-empty", "/var/lib/virtx"], check=False)


def test_leave(lab):
    """A host with a VM stays, and so does the one with the CA's key; of one that leaves no key is left."""
    h1, h2 = lab.hosts
    wait_joined(lab)
    uuid = create(h2, vmdef("stays"))
    done = cluster(h2, "leave", "--root", ROOT, "--yes")
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "1 VMs are on this host, as 'stays'" in done.stderr, done.stderr
    delete(h2, uuid)
    done = cluster(h2, "leave", "--root", ROOT, "--yes")
    assert done.returncode in (1, 3, 4, 5, 6, 7) and f"'virtx maintain host {h2.uuid} --wait'" in done.stderr, done.stderr
    done = h2.virtx("maintain", "host", h2.uuid, "--wait")
    assert done.returncode == 0, done.stderr
    done = cluster(h1, "leave", "--root", ROOT, "--yes", "--force")
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "ca.key' would be removed" in done.stderr, done.stderr
    # Whatever server somebody there has chosen, it is for that host.
    done = h2.virtx("cluster", "leave", "--root", ROOT, "--yes", env={"VIRTX_API_SERVER": "https://192.0.2.9"})
    assert done.returncode == 0 and f"virtx forget host {h2.uuid}" in done.stdout, done.stderr
    left = h2.run(["grep", "-rlE", "PRIVATE KEY|encrypt_key|virtx cluster", f"{ROOT}/etc"], check=False)
    assert left.returncode in (1, 3, 4, 5, 6, 7), left.stdout
    assert os.path.exists(h1.path(f"{ROOT}/etc/virtx/ca.key"))


def verify(host):
    host.run(["openssl", "verify", "-CAfile", "/etc/virtx/ca.pem", f"{ROOT}/etc/virtx/host.pem",
              f"{ROOT}/etc/pki/qemu/server-cert.pem"])


def test_ca_key(lab):
    """A second host is given the CA's key by a token that says so, as it joins and later; then it does without the first."""
    h1, h2 = lab.hosts
    wait_joined(lab)
    key = read(h1, "/etc/virtx/ca.key")
    done = join(h2, make_token(h1, "--host", h2.uuid), words=("--ca",))
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "'virtx cluster token --ca' makes one" in done.stderr, done.stderr
    done = join(h2, make_token(h1, "--ca"), words=("--ca",))
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "is active and has this UUID" in done.stderr, done.stderr
    # As one that has left, and joins anew.
    done = join(h2, make_token(h1, "--ca", "--host", h2.uuid), words=("--ca",))
    assert done.returncode == 0, done.stderr
    assert read(h2, "/etc/virtx/ca.key") == key
    assert os.stat(h2.path(f"{ROOT}/etc/virtx/ca.key")).st_mode & 0o7777 == 0o600
    # As one of the cluster, that has not got it.
    h2.run(["rm", f"{ROOT}/etc/virtx/ca.key"])
    serf = read(h2, "/etc/serf/virtx.json")
    done = join(h2, make_token(h1, "--ca", "--host", h2.uuid), words=("--ca",))
    assert done.returncode == 0 and "written: /etc/virtx/ca.key" in done.stdout, done.stderr
    assert read(h2, "/etc/virtx/ca.key") == key and read(h2, "/etc/serf/virtx.json") == serf
    verify(h2)
    line = key.splitlines()[1]
    for host in lab.hosts:
        assert line not in host.log("virtxd")
    start(h2)
    wait_joined(lab)

    h1.stop("virtxd")
    assert make_token(h2).startswith("virtx-join/")
    done = cluster(h2, "renew", "--force", "--root", ROOT)
    assert done.returncode == 0, done.stderr
    verify(h2)
    h1.start("virtxd")
    wait_ready(h1)
    done = cluster(h2, "init", "--address", h2.addr, "--root", ROOT, "--yes")
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "has joined a cluster" in done.stderr, done.stderr
