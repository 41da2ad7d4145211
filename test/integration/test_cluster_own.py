# SPDX-License-Identifier: GPL-2.0-or-later
"""`virtx cluster` with certificates of a site's own CA, as the README has them: no host has its key."""

from conftest import BUILD, PREFIX, wait_joined, wait_ready
from lab import Lab
from lab.util import write
from test_cluster_command import ROOT, SOCKET, cluster, join, make_root, make_token, read, start

SITE = "/run/site"  # where the CA is
OWN = "/run/own"  # what each host gets
FILES = ("ca.pem", "host.pem", "host.key", "qemu.pem", "qemu.key")


def sign(at, host):
    """The host's certificates, made where the CA is; the first call makes that."""
    kinds = {"host": (f"/CN=virtx:host:{host.uuid}", f"URI:virtx:host:{host.uuid},"), "qemu": ("/CN=QEMU", "")}
    at.run(["sh", "-ec", f"""
        mkdir -p {SITE} && cd {SITE}
        new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc'
        [ -e ca.pem ] || openssl req -x509 $new -days 30 -subj /CN=site -keyout ca.key -out ca.pem"""])
    for kind, (subject, san) in kinds.items():
        at.run(["sh", "-ec", f"""
            cd {SITE}
            new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc'
            openssl req -new $new -subj '{subject}' -keyout {kind}.key -out {kind}.csr
            echo 'subjectAltName = {san}DNS:{host.name},IP:{host.addr}' > {kind}.ext
            openssl x509 -req -in {kind}.csr -CA ca.pem -CAkey ca.key -days 30 -extfile {kind}.ext -out {kind}.pem"""])
    host.run(["mkdir", "-p", OWN])
    for name in FILES:
        with open(at.path(f"{SITE}/{name}"), encoding="utf-8") as file:
            write(host.path(f"{OWN}/{name}"), file.read(), 0o600)


def test_own_ca():
    """The hosts of such a cluster know each other, any of them lets others join, and none signs."""
    with Lab(2, build_dir=BUILD, name=f"{PREFIX}own") as lab:
        h1, h2 = lab.hosts
        for host in lab.hosts:
            make_root(host)
            sign(h1, host)
        for daemon in ("virtxd", "serf"):
            h2.stop(daemon)
        done = cluster(h1, "init", "--address", h1.addr, "--certificates", OWN, "--root", ROOT, "--yes")
        assert done.returncode == 0, done.stderr
        start(h1)
        wait_ready(h1)
        done = join(h2, make_token(h1))
        assert done.returncode in (1, 3, 4, 5, 6, 7) and "does not have the key of the cluster's CA" in done.stderr, done.stderr
        done = join(h2, make_token(h1), words=("--certificates", OWN))
        assert done.returncode == 0, done.stderr
        start(h2)
        wait_joined(lab)
        for one, other in ((h1, h2), (h2, h1)):
            answer = one.api("POST", f"/hosts/{other.uuid}/repair", {}, timeout=120)
            assert answer.status == 200, answer.text
            assert one.api("GET", "/readyz").json()["certificate"] != ""  # it ends within 30 days
        assert make_token(h2).startswith("virtx-join/")

        before = read(h2, "/etc/virtx/host.pem")
        sign(h1, h2)
        done = cluster(h2, "renew", "--certificates", OWN, "--root", ROOT)
        assert done.returncode == 0 and "written: /etc/virtx/host.key" in done.stdout, done.stderr
        assert read(h2, "/etc/virtx/host.pem") != before
        start(h2)
        wait_joined(lab)
        answer = h1.api("POST", f"/hosts/{h2.uuid}/repair", {}, timeout=120)
        assert answer.status == 200, answer.text
        done = h1.virtx("-A", SOCKET, "user", "certificate", "alice", "--role", "viewer")
        assert done.returncode in (1, 3, 4, 5, 6, 7) and "does not have the key of the cluster's CA" in done.stderr, done.stderr
