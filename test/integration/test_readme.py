# SPDX-License-Identifier: GPL-2.0-or-later
"""What the README has a stranger write and run is what the daemons read."""

import json
import os
import re
import subprocess

import pytest
from conftest import BUILD, ROOT
from lab import wait_for, wrapped
from lab.readme import block
from lab.util import write


def from_readme():
    return block("plain open") + block("migrate_uri")


def from_manual():
    with open(os.path.join(ROOT, "virtxd", "virtxd.conf.5"), encoding="utf-8") as file:
        return re.search(r"^\.Sh EXAMPLES\n.*?^\.Bd.*?\n(.*?)^\.Ed", file.read(), re.S | re.M).group(1)


@pytest.mark.parametrize("given", [from_readme, from_manual])
def test_virtxd_reads_its_configuration(tmp_path, given):
    path = tmp_path / "virtxd.conf"
    (tmp_path / "serf.key").write_text("key")
    path.write_text(given().replace("/etc/virtx/serf.key", f"{tmp_path}/serf.key"))
    result = subprocess.run([*wrapped([os.path.join(BUILD, "virtxd", "virtxd")]), "--check-config", "-c", str(path)],
                            text=True, capture_output=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")


def test_serf_reads_its_configuration(host):
    settings = json.loads(block("rpc_addr"))
    assert settings["user_event_size_limit"] >= 1024
    settings = {**settings, "bind": "127.0.0.1:7956", "rpc_addr": "127.0.0.1:7383", "retry_join": []}
    os.makedirs(f"{host.state}/etc-virtx/readme", exist_ok=True)
    write(f"{host.state}/etc-virtx/readme/virtx.json", json.dumps(settings))
    agent = host.popen(["serf", "agent", "-config-dir=/etc/virtx/readme"], stdout=subprocess.DEVNULL)
    try:
        wait_for("the agent", lambda: host.run(
            ["serf", "members", "-rpc-addr=127.0.0.1:7383"], check=False).returncode == 0, 20)
    finally:
        agent.terminate()
        agent.wait(20)


def test_libvirt_reads_its_configuration(host):
    """A VM gets its leases by it."""
    path, kept = f"{host.state}/etc-libvirt/qemu.conf", {}
    sanlock = f"{host.state}/etc-libvirt/qemu-sanlock.conf"
    for name in (path, sanlock):
        with open(name, encoding="utf-8") as file:
            kept[name] = file.read()
    given = block("lock_manager")
    keys = re.findall(r"^(\w+) =", given, re.M)
    lines = [line for line in kept[path].splitlines() if line.split(" ")[0] not in keys]
    try:
        write(path, "\n".join(lines) + "\n" + given)
        write(sanlock, block("auto_disk_leases"))
        host.restart("libvirtd")
        wait_for("virtxd to be ready", lambda: host.api("GET", "/readyz").status == 200, 60)
        with open(os.path.join(ROOT, "schemas", "examples", "vm-emulated.json"), encoding="utf-8") as file:
            uuid = host.virtx("create", "vm", "-", input=file.read(), check=True).stdout.strip()
        host.virtx("boot", "vm", uuid, check=True)
        assert len(host.sanlock_status()["resources"]) == 2
        host.virtx("shutdown", "vm", "-ff", uuid, check=True)
    finally:
        for name, text in kept.items():
            write(name, text)
        host.restart("libvirtd")
        wait_for("virtxd to be ready", lambda: host.api("GET", "/readyz").status == 200, 60)
