# SPDX-License-Identifier: GPL-2.0-or-later
"""Making a thick image where the storage must write it all: how far it is can be seen."""

import contextlib
import json
import os
import pty
import re
import subprocess
import time

import pytest
from conftest import BUILD, delete, disk, vmdef


@pytest.fixture
def slow(lab1, host):
    """A folder in ROOT/ds on a file system that cannot reserve blocks."""
    image = f"{lab1.state}/slow.img"
    os.makedirs(f"{lab1.vms}/ds/slow", exist_ok=True)
    with open(image, "wb") as file:
        file.truncate(3 << 30)
    subprocess.run(["mkfs.ext4", "-q", "-O", "^extent,^64bit,^metadata_csum", image], check=True)
    host.run(["mount", "-o", "loop", image, "/vms/ds/slow"])
    yield
    host.run(["umount", "/vms/ds/slow"])
    os.rmdir(f"{lab1.vms}/ds/slow")
    os.unlink(image)


def test_operation(host, slow):
    body = {"vmdef": vmdef("slow", osdisk=disk("/vms/ds/slow/slow.raw", prov=2, size=2048)), "host": ""}
    answer = host.api("POST", "/vms", body, headers={"Prefer": "respond-async"})
    assert answer.status == 202
    seen = []
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        operation = host.api("GET", answer.headers["Location"]).json()
        seen.append(operation["progress"])
        if operation["te"]:
            break
        time.sleep(0.1)
    assert operation["state"] == "completed", operation
    steps = sorted(set(seen))
    print("progress:", steps)
    assert seen == sorted(seen) and steps[-1] == 100
    assert len([step for step in steps if 0 < step < 100]) >= 1
    delete(host, operation["vm"])


def test_bar(lab1, host, slow, tmp_path):
    file = tmp_path / "vm.json"
    file.write_text(json.dumps(vmdef("slow", osdisk=disk("/vms/ds/slow/slow.raw", prov=2, size=2048))))
    master, slave = pty.openpty()
    process = host.popen([os.path.join(BUILD, "virtx", "virtx"), "create", "vm", str(file)],
                         stdout=subprocess.PIPE, stderr=slave, text=True,
                         env={**os.environ, "TERM": "xterm"})
    os.close(slave)
    seen = b""
    with contextlib.suppress(OSError):
        while data := os.read(master, 65536):
            seen += data
    os.close(master)
    uuid = process.stdout.read().strip()
    assert process.wait(20) == 0
    shown = [int(percent) for percent in re.findall(rb"VmCreate \[=*>? *\] +(\d+)%", seen)]
    assert shown == sorted(shown) and [percent for percent in shown if 0 < percent < 100]
    assert seen.endswith(b"\r\x1b[K")
    delete(host, uuid)
