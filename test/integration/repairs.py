# SPDX-License-Identifier: GPL-2.0-or-later
"""What a host says is wrong, and its repair."""

from lab import wait_for


def problems(host, kind=None):
    found = host.api("GET", f"/hosts/{host.uuid}").json()["problems"]
    return [p for p in found if kind in (None, p["kind"])]


def wait_problem(host, kind, vm):
    return wait_for(f"the problem {kind} of {vm}",
                    lambda: [p for p in problems(host, kind) if p["vm"] == vm], 60)


def repair(host, **options):
    answer = host.api("POST", f"/hosts/{host.uuid}/repair", options, timeout=120)
    assert answer.status == 200, answer.text
    return {(i["kind"], i["vm"]): i for i in answer.json()["items"]}
