# SPDX-License-Identifier: GPL-2.0-or-later
"""A path that is swapped while VirtX works on it: what lies outside of /vms is neither opened nor changed."""

import ctypes
import os
import shutil
import struct
import threading

import pytest
from conftest import clear, disk, vmdef
from lab import wait_for

ROUNDS = int(os.environ.get("VIRTX_SWAP_ROUNDS", "20"))
LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, RENAME_EXCHANGE = -100, 2
IN_ACCESS, IN_MODIFY, IN_ATTRIB, IN_OPEN, IN_CREATE, IN_DELETE = 0x1, 0x2, 0x4, 0x20, 0x100, 0x200
EVENT = struct.Struct("iIII")


class Swaps(threading.Thread):
    """Exchanges two names, over and over."""

    def __init__(self, one, other):
        super().__init__()
        self.names = [name.encode() for name in (one, other)]
        self.count = 0
        self.running = True

    def exchange(self):
        if LIBC.renameat2(AT_FDCWD, self.names[0], AT_FDCWD, self.names[1], RENAME_EXCHANGE) == 0:
            self.count += 1

    def run(self):
        while self.running:
            self.exchange()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.running = False
        self.join()


class Notify:
    """What is done to a directory and the files in it."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.fd = LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        wanted = IN_ACCESS | IN_MODIFY | IN_ATTRIB | IN_OPEN | IN_CREATE | IN_DELETE
        assert self.fd >= 0 and LIBC.inotify_add_watch(self.fd, self.path.encode(), wanted) >= 0
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def events(self):
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return []
        found = []
        while data:
            _, mask, _, length = EVENT.unpack_from(data)
            found.append((hex(mask), data[EVENT.size:EVENT.size + length].rstrip(b"\0")))
            data = data[EVENT.size + length:]
        return found


@pytest.fixture
def trap(lab1, host, tmp_path):
    """A directory in /vms/ds with an image, and a link out to one of the same look."""
    base = f"{lab1.vms}/ds/swap"
    os.makedirs(f"{base}/real")
    host.run(["qemu-img", "create", "-q", "-f", "qcow2", "/vms/ds/swap/real/a.qcow2", "1M"])
    shutil.copy(f"{base}/real/a.qcow2", tmp_path)
    os.symlink(tmp_path, f"{base}/out")
    os.symlink(tmp_path / "a.qcow2", f"{base}/out.qcow2")
    shutil.copy(f"{base}/real/a.qcow2", f"{base}/file.qcow2")
    yield base
    clear(host)
    shutil.rmtree(base)


@pytest.mark.parametrize("swapped", ["directory", "file"])
@pytest.mark.parametrize("prov", [0, 1])
def test_swap(lab1, host, trap, tmp_path, swapped, prov):
    if swapped == "directory":
        swaps = Swaps(f"{trap}/real", f"{trap}/out")
        path = f"/vms/ds/swap/real/{'b' if prov else 'a'}.qcow2"
    else:
        swaps = Swaps(f"{trap}/file.qcow2", f"{trap}/out.qcow2")
        path = "/vms/ds/swap/file.qcow2"
    body = {"host": "", "vmdef": vmdef("swap", osdisk=disk(path, prov=prov, size=1))}
    before = sorted(os.listdir(tmp_path))
    answers = []
    with Notify(str(tmp_path)) as notify:
        with swaps:
            for _ in range(ROUNDS):
                answer = host.api("POST", "/vms", body)
                answers.append(answer.status)
                if answer.status == 201:
                    # The image stays, or there is nothing to swap any more.
                    gone = host.api("DELETE", f"/vms/{answer.json()}",
                                    {"deletestorage": bool(prov) and swapped == "directory"})
                    assert gone.status in (200, 204), gone.text
                else:
                    assert answer.status in (404, 422, 507), answer.text
                    assert path in answer.json()["detail"], answer.text
        assert notify.events() == []
    assert swaps.count > ROUNDS and sorted(os.listdir(tmp_path)) == before
    print(f"{swaps.count} swaps; {answers}")
    # What could not be let go of while it was swapped is, now that it stands still.
    if os.path.islink(f"{trap}/real") or os.path.islink(f"{trap}/file.qcow2"):
        swaps.exchange()
    wait_for("the leases to be gone", lambda: os.listdir(f"{lab1.vms}/lock") == ["__VIRTX__DISKS__"], 60)
