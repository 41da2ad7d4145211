# SPDX-License-Identifier: GPL-2.0-or-later
"""VMs that are booted after their host was, of which it is not known at once whose they are."""

import json
import os

import pytest
from conftest import create, oplog, vmdef, wait_ready
from lab import wait_for
from test_autostart import KEPT, is_over, lose_power
from test_whose import journal_of, record_migration, registered
from two_hosts import lab2, two  # noqa: F401


def make(host, name):
    """A VM that runs, and is to be brought back."""
    uuid = create(host, vmdef(name, custom=[{"name": "ha", "value": "restart"}]))
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 204, answer.text
    return uuid


def is_on(host, uuid):
    return host.virsh("domstate", uuid).stdout.strip() == "running"


def left(host):
    """What is still to be booted, by what is kept of it."""
    return [vm["uuid"] for vm in json.loads(host.run(["cat", KEPT]).stdout)["vms"] or []]


@pytest.mark.parametrize("restart", [False, True])
def test_while_it_was_about_to_leave(lab2, two, restart):
    """The host loses power in a live migration, and its target answers later than the other VMs are booted: it has not
    left, and is booted then, also by a virtxd that was started anew meanwhile."""
    here, there = two
    leaver, stayer = make(here, "leaver"), make(here, "stayer")
    there.stop("virtxd")
    there.stop("libvirtd")
    here.kill("virtxd")
    began = journal_of(lab2, here, there, leaver, live=True)[1]
    record_migration(here, leaver, there, began)
    lose_power(here, [leaver, stayer])
    try:
        here.start("virtxd")
        wait_for("the other VM to run", lambda: is_on(here, stayer), 60)
        wait_for("the rest to be kept", lambda: left(here) in ([], [leaver]), 60)
        assert os.path.exists(f"{lab2.vms}/xml/{here.uuid}/{leaver}.journal")
        if restart:
            here.restart("virtxd")
    finally:
        there.start("libvirtd")
        there.start("virtxd")
    wait_for("it to run", lambda: is_on(here, leaver), 60)
    wait_ready(here)
    wait_for("the end", lambda: is_over(here), 60)
    assert registered(lab2, leaver) == [here] and oplog(here, leaver)["VmBoot"]["status"] == "completed"
