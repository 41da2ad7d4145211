# SPDX-License-Identifier: GPL-2.0-or-later
"""Members that are strange, that have failed, or that are to be forgotten."""

import os
import time

from conftest import create, delete, vmdef, wait_ready
from lab import wait_for
from test_gossip import hosts, lab, vms, wait_equal  # noqa: F401


def test_address_of_no_other_host(lab):
    """A member that says that it is where only this host itself can be is not asked there."""
    h1, _, h3 = lab.hosts
    uuid = "00000000-0000-4000-8000-00000000000c"
    agent = h3.popen(["serf", "agent", "-node=inside", "-bind=0.0.0.0:7960", "-advertise=127.0.0.1:7960",
                      "-rpc-addr=127.0.0.1:7410", f"-join={h1.addr}:7946", f"-tag=uuid={uuid}", "-tag=virtx=1",
                      "-tag=api=8080/http"], stdout=open(os.devnull, "w"))
    try:
        wait_for("it to be a host", lambda: hosts(h1).get(uuid, (None, None))[1] == 1, 30)
        answer = h1.api("GET", f"/hosts/{uuid}")
        assert answer.status == 502 and "a loopback address" in answer.json()["detail"], answer.text
    finally:
        agent.kill()
        agent.wait()
    wait_for("it to be away", lambda: all(hosts(host)[uuid][1] != 1 for host in lab.hosts), 60)
    assert h1.api("DELETE", f"/hosts/{uuid}").status == 204
    wait_equal(lab, 30)


def test_forget_host(lab):
    h1, h2, h3 = lab.hosts
    mine = create(h3, vmdef("forgotten"))
    wait_equal(lab, 30)
    assert h1.virtx("forget", "host", h3.uuid).returncode in (1, 3, 4, 5, 6, 7)
    assert h1.api("DELETE", f"/hosts/{h3.uuid}").status == 409
    h3.kill("virtxd")
    h3.kill("serf")
    wait_for("the others to see it", lambda: hosts(h1)[h3.uuid][1] == hosts(h2)[h3.uuid][1] == 3, 30)
    done = h1.virtx("forget", "host", h3.uuid)
    assert (done.returncode, done.stderr) == (0, "")
    for host in h1, h2:
        assert h3.uuid not in hosts(host) and mine not in vms(host)
    assert h1.api("DELETE", f"/hosts/{h3.uuid}").status == 404
    h3.start("serf")
    h3.start("virtxd")
    wait_ready(h3)
    wait_equal(lab, 30)
    assert mine in vms(h1) and len(hosts(h1)) == 3
    delete(h3, mine)
    wait_equal(lab, 30)


def test_failed_host_is_no_empty_truth(lab):
    """Of a host that was down when virtxd started no VM is known: no list and no 404 pretends that it has none."""
    h1, h2, h3 = lab.hosts
    mine = create(h3, vmdef("unheard"))
    wait_equal(lab, 30)
    h3.kill("virtxd")
    h3.kill("serf")
    wait_for("the others to see it", lambda: hosts(h1)[h3.uuid][1] == hosts(h2)[h3.uuid][1] == 3, 60)
    h1.restart("virtxd")
    wait_ready(h1)
    # serf still has the members of other tests.
    for stranger in set(hosts(h1)) - {host.uuid for host in lab.hosts}:
        assert h1.api("DELETE", f"/hosts/{stranger}").status == 204
    # So it has the former name of a host that was renamed: of two members that failed nothing tells which was last.
    name = hosts(h1)[h3.uuid][0]
    assert name in ("h3", "renamed")
    for method, path in (("GET", f"/vms/{mine}"), ("GET", f"/vms/{mine}/runstate"),
                         ("POST", f"/vms/{mine}/runstate/boot"), ("DELETE", f"/vms/{mine}")):
        answer = h1.api(method, path)
        assert answer.status == 503 and f"'{name}' (failed)" in answer.json()["detail"], (path, answer.text)
        assert answer.headers["Retry-After"] and answer.json()["vm"] == mine
    answer = h1.api("GET", "/vms")
    assert answer.status == 200 and f"'{name}' (failed)" in answer.headers["Warning"], answer.headers
    assert f"'{name}' (failed)" in h1.api("GET", "/readyz").json()["vms"]
    # Who has heard of it before still knows.
    assert vms(h2)[mine]["runstate"] == 0
    told = h2.api("GET", f"/vms/{mine}/runstate").json()
    assert (told["runstate"], told["last"], told["host"]) == (0, 2, h3.uuid)
    assert "unknown" in h2.virtx("list", "vm", "-n", "unheard").stdout
    assert h2.api("GET", "/vms?runstate=poweroff&name=unheard").json()["items"] == []
    assert "'h3'" not in h2.api("GET", "/vms").headers.get("Warning", "")
    assert h1.virtx("forget", "host", h3.uuid).returncode == 0
    # Members of other tests may still be unheard.
    answer = h1.api("GET", f"/vms/{mine}")
    assert answer.status in (404, 503) and f"'{name}'" not in answer.json()["detail"], answer.text
    assert f"'{name}'" not in h1.api("GET", "/vms").headers.get("Warning", "")
    h3.start("serf")
    h3.start("virtxd")
    wait_ready(h3)
    wait_equal(lab, 60)
    delete(h3, mine)
    wait_equal(lab, 30)


def test_strange_members(lab):
    h1, h2, h3 = lab.hosts
    before = hosts(h1)
    for n, tags in enumerate(([], ["uuid=nonsense"], [f"uuid={h1.uuid}"], [f"uuid={h2.uuid}"])):
        agent = h3.popen(["serf", "agent", f"-node=stranger{n}", f"-bind={h3.addr}:{7950 + n}",
                          f"-rpc-addr=127.0.0.1:{7400 + n}", f"-join={h1.addr}:7946",
                          *[f"-tag={tag}" for tag in tags]],
                         stdout=open(os.devnull, "w"))
        try:
            wait_for("the stranger", lambda n=n: f"stranger{n}" in h1.serf("members").stdout, 20)
            time.sleep(4)
            for host in lab.hosts:
                assert hosts(host) == before, tags
            if n > 1:
                wait_for("the twin", lambda n=n: f"stranger{n}" in h1.api("GET", "/readyz").json()["members"], 30)
            answer = h1.api("POST", f"/hosts/{h1.uuid}/repair", {"apply": True, "define": True})
            assert answer.status == (409 if n > 1 else 200), answer.text
        finally:
            agent.kill()
            agent.wait()
    wait_equal(lab, 20)
    assert hosts(h1) == before
    wait_for("no twins", lambda: h1.api("GET", "/readyz").json()["members"] == "", 30)


def test_member_with_other_uuid(lab):
    """A member that takes another UUID is another host, and of the one that it was nothing is left."""
    h1, h2, h3 = lab.hosts
    before = hosts(h1)
    uuids = [f"00000000-0000-4000-8000-00000000010{n}" for n in range(5)]
    agent = h3.popen(["serf", "agent", "-node=changeling", f"-bind={h3.addr}:7960", "-rpc-addr=127.0.0.1:7460",
                      f"-join={h1.addr}:7946", f"-tag=uuid={uuids[0]}"], stdout=open(os.devnull, "w"))
    try:
        for uuid in uuids:
            if uuid != uuids[0]:
                h3.run(["serf", "tags", "-rpc-addr=127.0.0.1:7460", "-set", f"uuid={uuid}"])
            for host in h1, h2:
                wait_for("the host", lambda host=host, uuid=uuid: hosts(host).keys() - before == {uuid}, 20)
        assert f"({uuids[0]}) is forgotten with its 0 VMs: its member has another uuid" in h1.log("virtxd")
    finally:
        agent.kill()
        agent.wait()
    for host in lab.hosts:
        wait_for("it to have failed", lambda host=host: hosts(host)[uuids[-1]][1] == 3, 30)
    assert h1.virtx("forget", "host", uuids[-1]).returncode == 0
    assert [hosts(host) for host in lab.hosts] == [before] * 3
