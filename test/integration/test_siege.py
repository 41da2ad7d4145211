# SPDX-License-Identifier: GPL-2.0-or-later
"""A listener for TLS that is besieged: what test/bench/siege measures, shorter, and counted."""

import json
import re

import pytest
from conftest import BUILD, PREFIX, wait_joined
from lab import PATIENCE, Lab, wait_for
from lab.tls import TLS_PORT, Authority, settings
from test_http import private_kib

SECONDS = 6
NEWCOMERS, WRONG = max(int(40 / PATIENCE), 2), max(int(200 / PATIENCE), 50)  # a second
HALF = 150
GROWTH_MIB = 32
WAITING = 64  # who have been wrong, and are told so later
AUDITED = 60  # lines a minute about those whom nobody knows


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("ca"))
    with Lab(1, build_dir=BUILD, name=f"{PREFIX}siege") as lab:
        host = lab.hosts[0]
        authority.equip(host)
        config = settings(host)
        config["http"]["listen"] = ["127.0.0.1:8080 open", f"127.0.0.1:{TLS_PORT} tls auth"]
        host.configure(config)
        host.restart("virtxd")
        wait_joined(lab)
        done = host.virtx("token", "create", "besieged", "--role", "viewer", check=True)
        host.run(["install", "-m", "600", "/dev/stdin", "/run/token"], input=done.stdout)
        yield host


def figures(host):
    lines = host.api("GET", "/metrics").text.splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


@pytest.mark.parametrize("attackers", [1, HALF])
def test_siege(host, attackers):
    """Newcomers and a regular are served, whoever else comes; and it leaves nothing behind."""
    before, memory, logged = figures(host), private_kib(host), len(host.log("virtxd"))
    done = host.run([f"{BUILD}/test/bench/siege_load", "-s", SECONDS, "-n", NEWCOMERS, "-o", HALF, "-w", WRONG, "-a", attackers,
                     "-p", int(10 * PATIENCE), TLS_PORT, "/run/token"], timeout=60 + SECONDS)
    found = json.loads(done.stdout)
    after, growth = figures(host), private_kib(host) - memory
    newcomers, regular, guesses = found["newcomers"], found["regular"], found["guesses"]

    # Where others wait to begin, whoever is slow with a handshake goes, and on this machine all may be.
    assert newcomers["good"] >= newcomers["begun"] * 0.9, found
    assert newcomers["begun"] >= NEWCOMERS * SECONDS * 0.9 and newcomers["skipped"] == 0, found
    assert regular["good"] == regular["answered"] > 0 and regular["failed"] == 0, found
    # Those of them who are too many at a time in their handshakes are let go.
    assert guesses["good"] == guesses["errors"] == 0 and guesses["refused"] > 2 * AUDITED, found
    assert found["half"]["held"] > HALF / 2, found

    wrong = 'virtx_http_unauthorized_total{why="wrong"}'
    assert 0 < after[wrong] - before[wrong] <= guesses["answered"] - guesses["busy"] + WAITING
    ended = "virtx_tls_handshakes_failed_total"
    assert after[ended] - before[ended] > HALF / 2
    assert after["virtx_http_connections_refused_total"] == before["virtx_http_connections_refused_total"]
    # Two minutes may have begun meanwhile, each with a line about those before it.
    lines = host.log("virtxd")[logged:].splitlines()
    assert len([line for line in lines if re.search(r" audit: .*status=4(01|29)", line)]) <= 2 * AUDITED
    assert len(lines) < 2 * AUDITED + 60, lines
    assert growth < GROWTH_MIB * 1024, growth
    wait_for("all to have gone", lambda: figures(host)["virtx_http_connections"] <= before["virtx_http_connections"], 20)
    assert private_kib(host) - memory < GROWTH_MIB * 1024
