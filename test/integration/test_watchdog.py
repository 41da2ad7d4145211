# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts say whether a watchdog protects them. Here none does: sanlock runs with -w 0."""

import re
import signal

from lab import wait_for

WORDS = ("unknown", "off", "on")
UNUSED = "sanlock does not use a watchdog: it runs with -w 0"


def why(host):
    return host.api("GET", "/readyz").json()["watchdog"]


def seen(host, other):
    """What a host says of another one's, or its own, watchdog, from its memory."""
    item, = [item for item in host.api("GET", "/hosts").json()["items"] if item["uuid"] == other.uuid]
    return WORDS[item["watchdog"]]


def warnings(host):
    """What it has logged of what is missing since it was started, each time."""
    return re.findall(r"lockspace: no watchdog protects this host: (.*)", re.split(r"virtxd \S+ serves", host.log("virtxd"))[-1])


def test_off(hosts):
    """All hosts know it of all; each says why of its own where that changes, and is ready all the same."""
    h1, _, h3 = hosts
    for host in hosts:
        wait_for("what is missing to be known", lambda: UNUSED in why(host), 30)
        assert host.api("GET", "/readyz").status == 200
        for other in hosts:
            wait_for(f"{host.name} to know it of {other.name}", lambda: seen(host, other) == "off", 30)
            assert host.api("GET", f"/hosts/{other.uuid}").json()["watchdog"] == WORDS.index("off")
    title, *lines = h1.virtx("list", "host").stdout.splitlines()
    place = title.index("WATCHDOG")
    assert [line[place:].split()[0] for line in lines] == ["off"] * 3
    assert "watchdog" in h1.virtx("get", "host", h3.uuid).stdout
    assert "\nvirtx_watchdog 0\n" in h1.api("GET", "/metrics").text
    # sanlock may not have answered the first question yet.
    told = warnings(h1)
    assert told[-1] == why(h1) and all(one != next for one, next in zip(told, told[1:], strict=False)), told


def test_sanlock_stopped(hosts):
    """That sanlock does not answer is told with what is missing, and nothing waits for it: the lockspace says in its
    own time that sanlock is stopped, and in its own time that it is joined."""
    host = hosts[2]
    wait_for("what is missing to be known", lambda: UNUSED in why(host), 30)
    host.signal("sanlock", signal.SIGSTOP)
    try:
        wait_for("the lockspace to say it", lambda: "is stopped" in host.api("GET", "/readyz").json()["lockspace"], 5)
        wait_for("the watchdog to say it", lambda: "sanlock does not say whether" in why(host), 30)
        assert seen(host, host) == "off"
    finally:
        host.signal("sanlock", signal.SIGCONT)
    wait_for("the host to be ready", lambda: host.api("GET", "/readyz").status == 200, 30)
    wait_for("what is missing to be known", lambda: UNUSED in why(host), 30)
    assert seen(hosts[0], host) == "off"


def test_tag(hosts):
    """It is a tag of serf's, which goes with virtxd: nobody says of the host then that it is protected, or is not."""
    h1, _, h3 = hosts
    wait_for("h1 to know it", lambda: seen(h1, h3) == "off", 30)
    assert "watchdog=off" in h1.serf("members", "-name", h3.name).stdout
    h3.stop("virtxd")
    wait_for("h1 to know it no more", lambda: seen(h1, h3) == "unknown", 30)
    h3.start("virtxd")
    wait_for("h1 to know it again", lambda: seen(h1, h3) == "off", 60)
