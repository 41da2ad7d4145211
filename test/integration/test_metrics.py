# SPDX-License-Identifier: GPL-2.0-or-later
"""GET /metrics in Prometheus' text format, read by its rules."""

import re
import shutil
import subprocess

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


def get(host, query=""):
    answer = host.api("GET", "/metrics" + query)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    if shutil.which("promtool"):
        said = subprocess.run(["promtool", "check", "metrics"], input=answer.text, capture_output=True, text=True)
        assert said.returncode == 0, said.stderr
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


def histogram(families, family, **labels):
    """The count of a histogram, whose buckets are looked at."""
    kind, samples = families[family]
    assert kind == "histogram"
    buckets = [(dict(pairs)["le"], count) for (name, pairs), count in samples.items()
               if name.endswith("_bucket") and dict(pairs).items() >= labels.items()]
    assert [float(le) for le, _ in buckets] == sorted(float(le) for le, _ in buckets)
    assert buckets[-1][0] == "+Inf"
    counts = [count for _, count in buckets]
    assert counts == sorted(counts)
    assert counts[-1] == samples[(f"{family}_count", tuple(sorted(labels.items())))]
    return counts[-1]


def test_lag_is_a_histogram(lab3):
    assert histogram(get(lab3.hosts[0]), "virtx_loop_lag_seconds") > 10


def test_of_the_host(lab3):
    """Memory, CPU and storage are what the machine itself says, and what a VM takes of them shows."""
    h1 = lab3.hosts[0]
    before = get(h1)
    node = dict(re.findall(r"^(.+?):\s+(\d+)", h1.virsh("nodeinfo").stdout, re.M))
    size = sum(value(before, "virtx_host_memory_size_bytes", pages=pages) for pages in ("normal", "huge"))
    assert abs(size - int(node["Memory size"]) * 1024) < 2 * 1048576
    assert 0 < value(before, "virtx_host_memory_free_bytes", pages="normal") < size
    assert value(before, "virtx_host_cpus") == int(node["CPU(s)"])
    assert value(before, "virtx_host_cpu_seconds_total") > 0
    disk = h1.run(["df", "-B1", "--output=size,avail", "/vms/ds"]).stdout.split("\n")[1].split()
    for folder in ("/vms", "/vms/ds"):
        assert value(before, "virtx_storage_size_bytes", folder=folder) == int(disk[0])
        assert 0 < value(before, "virtx_storage_free_bytes", folder=folder) <= int(disk[0])
    uuid = conftest.create(h1, conftest.vmdef("me1"))
    memory = h1.api("GET", f"/vms/{uuid}").json()["def"]["memory"]["total"] * 1048576
    after = get(h1)
    assert value(after, "virtx_host_memory_reserved_bytes", pages="normal") == \
        value(before, "virtx_host_memory_reserved_bytes", pages="normal") + memory
    assert value(after, "virtx_host_vcpus") > value(before, "virtx_host_vcpus")
    conftest.delete(h1, uuid)


def test_of_each_vm(lab3):
    """A VM has its figures on its own host, those of its process while it is on, and none when it is gone."""
    h1, h2 = lab3.hosts[:2]
    uuid = conftest.create(h1, conftest.vmdef("me2"))
    assert not any("_vm_" in name for name in get(h1))
    families = get(h1, "?vms=1")
    assert value(families, "virtx_vm_info", vm=uuid, name="me2") == 1
    assert value(families, "virtx_vm_runstate", vm=uuid, runstate="poweroff") == 1
    assert ("virtx_vm_cpu_seconds_total", (("vm", uuid),)) not in families["virtx_vm_cpu_seconds_total"][1]
    assert ("virtx_vm_vcpus", (("vm", uuid),)) not in get(h2, "?vms=1")["virtx_vm_vcpus"][1]
    assert h1.api("POST", f"/vms/{uuid}/runstate/boot").status == 204

    def measured():
        found = get(h1, "?vms=1")
        return ("virtx_vm_cpu_seconds_total", (("vm", uuid),)) in found["virtx_vm_cpu_seconds_total"][1] and found

    families = wait_for("the VM to be measured", measured, 60)
    assert value(families, "virtx_vm_runstate", vm=uuid, runstate="running") == 1
    assert value(families, "virtx_vm_memory_used_bytes", vm=uuid) > 0
    definition = h1.api("GET", f"/vms/{uuid}").json()["def"]
    assert value(families, "virtx_vm_memory_size_bytes", vm=uuid) == definition["memory"]["total"] * 1048576
    assert value(families, "virtx_vm_disk_capacity_bytes", vm=uuid) == definition["osdisk"]["size"] * 1048576
    assert h1.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    conftest.delete(h1, uuid)
    assert ("virtx_vm_vcpus", (("vm", uuid),)) not in get(h1, "?vms=1")["virtx_vm_vcpus"][1]
    assert h1.api("GET", "/metrics?vms=perhaps").status == 400


def test_of_operations(lab3):
    """Counted by kind and result, with how long they took."""
    h1 = lab3.hosts[0]
    uuid = conftest.create(h1, conftest.vmdef("me3"))
    assert h1.api("POST", f"/vms/{uuid}/runstate/pause").status == 424
    conftest.delete(h1, uuid)
    families = get(h1)
    for op, result in (("VmCreate", "completed"), ("VmPause", "failed"), ("VmDelete", "completed")):
        ended = value(families, "virtx_operations_ended_total", op=op, result=result)
        assert ended >= 1
        assert value(families, "virtx_operations_started_total", op=op) >= ended
        assert histogram(families, "virtx_operation_duration_seconds", op=op, result=result) == ended
    assert families["virtx_operation_duration_seconds"][1][
        ("virtx_operation_duration_seconds_sum", (("op", "VmCreate"), ("result", "completed")))] > 0


def test_serf_away_shows(lab3):
    h1 = lab3.hosts[0]
    h1.stop("serf")
    wait_for("serf to be down", lambda: value(get(h1), "virtx_up", part="serf") == 0, 20)
    h1.start("serf")
    wait_for("serf to be up", lambda: value(get(h1), "virtx_up", part="serf") == 1, 30)
