# SPDX-License-Identifier: GPL-2.0-or-later
"""GET /metrics in Prometheus' text format, read by its rules."""

import re

import conftest
from lab import wait_for

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')


def parse(text):
    """{family: (type, {(name, labels): value})}; fails on what Prometheus would refuse."""
    families, helped, family = {}, set(), None
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            _, _, name, words = line.split(" ", 3)
            assert name not in helped and words
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert kind in ("counter", "gauge", "histogram")
            assert family not in families and family in helped
            assert (kind == "counter") == family.endswith("_total")
            families[family] = (kind, {})
        else:
            match = SAMPLE.match(line)
            assert match, line
            name, labels, value = match.groups()
            pairs = LABEL.findall(labels or "")
            assert "".join(f'{k}="{v}",' for k, v in pairs) == (labels + "," if labels else "")
            kind, samples = families[family]
            suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
            assert any(name == family + suffix for suffix in suffixes), line
            key = (name, tuple(sorted(pairs)))
            assert key not in samples, line
            samples[key] = float(value)
    return families


def get(host):
    answer = host.api("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return parse(answer.text)


def value(families, family, **labels):
    return families[family][1][(family, tuple(sorted(labels.items())))]


def test_format_and_figures(lab3):
    h1 = lab3.hosts[0]
    before = get(h1)
    assert all(name.startswith("virtx_") for name in before)
    wait_for("three active hosts",
             lambda: value(get(h1), "virtx_hosts", cstate="active") == 3, 30)
    for part in ("libvirt", "serf", "lockspace", "storage"):
        assert value(before, "virtx_up", part=part) == 1
    uuid = conftest.create(h1, conftest.vmdef("me0"))
    for host in lab3.hosts:
        wait_for(f"{host.name} to count the VM", lambda h=host: value(
            get(h), "virtx_vms", scope="cluster", runstate="poweroff") >= 1, 30)
    after = get(h1)
    assert value(after, "virtx_vms", scope="host", runstate="poweroff") == \
        value(before, "virtx_vms", scope="host", runstate="poweroff") + 1
    assert value(after, "virtx_operations", state="completed") > \
        before["virtx_operations"][1].get(
            ("virtx_operations", (("state", "completed"),)), 0)
    assert value(after, "virtx_jobs_started_total") > value(before, "virtx_jobs_started_total")
    assert value(after, "virtx_http_requests_total", method="POST", route="/vms",
                 **{"class": "2xx"}) >= 1
    assert value(after, "virtx_gossip_received_total") > 0
    assert value(after, "virtx_serf_members") >= 3  # another test leaves one that is no host
    assert value(after, "virtx_http_connections") >= 1
    conftest.delete(h1, uuid)
    assert h1.api("GET", "/nowhere").status == 404
    assert value(get(h1), "virtx_http_requests_total", method="", route="",
                 **{"class": "4xx"}) >= 1


def test_lag_is_a_histogram(lab3):
    kind, samples = get(lab3.hosts[0])["virtx_loop_lag_seconds"]
    assert kind == "histogram"
    buckets = [(dict(labels)["le"], count) for (name, labels), count in samples.items()
               if name.endswith("_bucket")]
    assert [float(le) for le, _ in buckets] == sorted(float(le) for le, _ in buckets)
    assert buckets[-1][0] == "+Inf"
    counts = [count for _, count in buckets]
    assert counts == sorted(counts)
    assert counts[-1] == samples[("virtx_loop_lag_seconds_count", ())] > 10


def test_serf_away_shows(lab3):
    h1 = lab3.hosts[0]
    h1.stop("serf")
    wait_for("serf to be down", lambda: value(get(h1), "virtx_up", part="serf") == 0, 20)
    h1.start("serf")
    wait_for("serf to be up", lambda: value(get(h1), "virtx_up", part="serf") == 1, 30)
