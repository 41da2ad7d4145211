# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile images and paths are refused with their reason, and nothing outside the storage is opened."""

import json
import os
import re
import shutil
import socket
import stat
import uuid as uuids

import pytest
from conftest import BUILD, create, delete, disk, vmdef
from disks import SIZE, definition_of, lun, nothing_left, open_to_qemu, table, update  # noqa: F401


def image(host, path, *options):
    host.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, path, "4M"])


def make_fifo(lab, host, path):
    host.run(["mkfifo", path])


def make_socket(lab, host, path):
    with socket.socket(socket.AF_UNIX) as sock:
        there = os.getcwd()
        os.chdir(os.path.dirname(path.replace("/vms", lab.vms, 1)))
        sock.bind(os.path.basename(path))
        os.chdir(there)


def make_backed(lab, host, path):
    image(host, path, "-b", "/etc/passwd", "-F", "raw")


def make_data_file(lab, host, path):
    image(host, path, "-o", "data_file=/vms/ds/hostile/data.raw,data_file_raw=on")


def make_encrypted(lab, host, path):
    image(host, path, "--object", "secret,id=s,data=secret", "-o",
          "encrypt.format=aes,encrypt.key-secret=s")


def make_cut_short(lab, host, path):
    """A cloud image whose download was cut off."""
    host.run(["sh", "-c", "head -c 4M /dev/urandom | od > /vms/ds/hostile/plain; truncate -s 64M /vms/ds/hostile/plain"])
    host.run(["qemu-img", "convert", "-c", "-O", "qcow2", "-f", "raw", "/vms/ds/hostile/plain", path])
    host.run(["truncate", "-s", "1M", path])


def make_corrupt(lab, host, path):
    image(host, path)
    with open(path.replace("/vms", lab.vms, 1), "r+b") as file:
        file.seek(79)
        file.write(b"\x02")


def make_garbage(lab, host, path):
    host.run(["sh", "-c", f"yes | head -c 1M > {path}"])


def make_truncated(lab, host, path):
    image(host, path)
    host.run(["truncate", "-s", "60", path])


def make_huge_table(lab, host, path):
    """A header that claims more than any memory holds."""
    image(host, path)
    with open(path.replace("/vms", lab.vms, 1), "r+b") as file:
        file.seek(36)
        file.write(b"\x7f\xff\xff\xff")


def in_directory(target):
    def make(lab, host, path):
        host.run(["ln", "-s", target, os.path.dirname(path)])
    return make


OUTSIDE = "/etc/passwd"


HOSTILE = {
    # name: (path below ds/hostile, how it is made, status, the reason)
    "link out": ("a.raw", lambda lab, host, path: host.run(["ln", "-s", OUTSIDE, path]), 422,
                 "is no regular file but a symbolic link"),
    "link within": ("a.raw", lambda lab, host, path: host.run(["ln", "-s", "other.raw", path]), 422,
                    "is no regular file but a symbolic link"),
    "directory link out": ("sub/passwd.raw", in_directory("/etc"), 422,
                           "/sub' is no directory but a symbolic link"),
    "directory link up": ("sub/a.raw", in_directory("../.."), 422,
                          "/sub' is no directory but a symbolic link"),
    "file for directory": ("sub/a.raw", lambda lab, host, path:
                           host.run(["touch", os.path.dirname(path)]), 422,
                           "/sub' is no directory but a regular file"),
    "FIFO": ("a.raw", make_fifo, 422, "is no regular file but a FIFO"),
    "socket": ("a.raw", make_socket, 422, "is no regular file but a socket"),
    "directory": ("a.raw", lambda lab, host, path: host.run(["mkdir", path]), 422,
                  "is no regular file but a directory"),
    "character device": ("a.raw", lambda lab, host, path:
                         host.run(["mknod", path, "c", "1", "5"]), 422,
                         "is no regular file but a character device"),
    "block device": ("a.raw", lambda lab, host, path:
                     host.run(["mknod", path, "b", "7", "99"]), 422,
                     "is no regular file but a block device"),
    "nothing": ("a.raw", lambda lab, host, path: None, 422, "No such file or directory"),
    "nothing at all": ("sub/a.raw", lambda lab, host, path: None, 422, "No such file or directory"),
    "backing file": ("a.qcow2", make_backed, 422, "it has a backing file"),
    "data file": ("a.qcow2", make_data_file, 422, "its data is in an external file"),
    "encrypted": ("a.qcow2", make_encrypted, 422, "it is encrypted"),
    "cut short": ("a.qcow2", make_cut_short, 422, "it is not whole: it has "),
    "corrupt": ("a.qcow2", make_corrupt, 422, "it is marked corrupt"),
    "named raw": ("a.raw", lambda lab, host, path: image(host, path), 422,
                  "it is a qcow2 image, and its name says that it is raw"),
    "garbage": ("a.qcow2", make_garbage, 422, "it is no qcow2 image"),
    "truncated": ("a.qcow2", make_truncated, 422, "it is no qcow2 image"),
    "huge table": ("a.qcow2", make_huge_table, 507, "qemu-img"),
    "more MiB than there are": ("a.qcow2", lambda lab, host, path: host.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", path, "3P"]), 422,
                                "its size of 3221225472 MiB is more than 2147483647"),
}


UNMAKEABLE = {"nothing", "nothing at all"}  # nothing is in the way of what is provisioned


@pytest.fixture
def hostile(lab1):
    os.makedirs(f"{lab1.vms}/ds/hostile")
    yield
    shutil.rmtree(f"{lab1.vms}/ds/hostile")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(lab1, host, hostile, name):
    below, make, status, reason = HOSTILE[name]
    path = f"/vms/ds/hostile/{below}"
    make(lab1, host, path)
    before = os.lstat(OUTSIDE)

    def refuse(answer, wanted, why):
        assert answer.status == wanted, (name, answer.status, answer.text)
        assert why in answer.json()["detail"] and path in answer.json()["detail"], answer.text

    for fields in ({"man": 1, "prov": 0}, {"man": 0, "prov": 0}, {"man": 0, "prov": 0, "device": 1,
                                                                  "bus": 2}):
        definition = vmdef("hostile", disks=[disk(path, **fields)])
        refuse(host.api("POST", "/vms", {"vmdef": definition, "host": ""}), status, reason)
        nothing_left(lab1, host)
    uuid = create(host, vmdef("hostile"))
    refuse(update(host, uuid, definition), status, reason)
    assert definition_of(host, uuid)["disks"] == []
    if name not in UNMAKEABLE:
        # Nor is it in the way that something is made over it.
        definition["disks"] = [disk(path, size=1)]
        answer = update(host, uuid, definition)
        assert answer.status in (422, 507) and path in answer.json()["detail"], answer.text
    delete(host, uuid)
    nothing_left(lab1, host)
    assert os.lstat(OUTSIDE) == before


def test_compressed(lab1, host, hostile):
    """Every public cloud image has compressed clusters."""
    path = "/vms/ds/hostile/cloud.qcow2"
    host.run(["sh", "-c", "yes | head -c 4M > /vms/ds/hostile/plain; truncate -s 64M /vms/ds/hostile/plain"])
    host.run(["qemu-img", "convert", "-c", "-O", "qcow2", "-f", "raw", "/vms/ds/hostile/plain", path])
    uuid = create(host, vmdef("compressed", disks=[disk(path, man=1, prov=0)]))
    shown = definition_of(host, uuid)["disks"][0]
    assert (shown["prov"], shown["size"]) == (1, 64)
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    delete(host, uuid)
    nothing_left(lab1, host)


@pytest.mark.parametrize("target,kind", [("/dev/null", "a character device"),
                                         (OUTSIDE, "a regular file"), ("/etc", "a directory")])
def test_hostile_lun(lab1, host, lun, target, kind):
    link, _ = lun
    os.unlink(link)
    os.symlink(target, link)
    for prov in (0, 1):
        definition = vmdef("hostile", disks=[disk(link, device=2, bus=1, prov=prov, size=SIZE)])
        answer = host.api("POST", "/vms", {"vmdef": definition, "host": ""})
        assert answer.status == 422, answer.text
        assert f"is no block device but {kind}" in answer.json()["detail"]
    nothing_left(lab1, host)
    assert open(OUTSIDE, encoding="utf-8").read().startswith("root:")


def test_opens_nothing_outside(lab1, host, hostile):
    """strace of the job that looks at them: it opens what VirtX and its programs are made of, and below /vms."""
    paths = []
    for at, (name, (below, make, _, _)) in enumerate(HOSTILE.items()):
        host.run(["mkdir", f"/vms/ds/hostile/{at}"])
        if "data_file" not in make.__name__ and "cut_short" not in make.__name__:
            path = f"/vms/ds/hostile/{at}/{below}"
        else:
            path = f"/vms/ds/hostile/{at}.qcow2"
        make(lab1, host, path)
        paths.append(path)
    request = {"env": {"uri": "qemu:///system", "root": "/vms", "run_dir": "/run/virtx",
                       "host": host.uuid, "io_timeout": 1},
               "vms": [{"uuid": str(uuids.uuid4()),
                        "disks": [disk(path, man=0, prov=0) for path in paths]}]}
    done = host.run(["strace", "-f", "-y", "-qq", "-e", "trace=open,openat,openat2,creat", "-o",
                     "/vms/strace", f"{BUILD}/virtxd/virtxd", "--job", "inspect"],
                    input=json.dumps(request), timeout=60,
                    env={"ASAN_OPTIONS": "detect_leaks=0"})  # which needs ptrace, as strace does
    assert "result" in done.stdout
    with open(f"{lab1.vms}/strace", encoding="utf-8") as file:
        calls = file.read()
    os.unlink(f"{lab1.vms}/strace")
    opened = re.findall(r"= \d+<([^>]*)>$", calls, re.MULTILINE)
    assert [path for path in opened if path.startswith("/vms/ds/hostile/")]
    # What a link or an image's header names is not opened, nor is what is no regular file but to look at it (O_PATH).
    assert not {OUTSIDE, "/etc", "/vms/ds/hostile/data.raw", "/vms/ds/hostile/other.raw"} & set(opened)
    for line in calls.splitlines():
        match = re.search(r"= \d+<([^>]*)>$", line)
        if match and match[1].startswith("/vms/ds/hostile/") and "O_PATH" not in line:
            assert re.search(r"/a\.(raw|qcow2)$|/\d+(\.qcow2)?$|/sub$", match[1]), line
            assert stat.S_IFMT(os.lstat(match[1].replace("/vms", lab1.vms, 1)).st_mode) in (
                stat.S_IFREG, stat.S_IFDIR), line
