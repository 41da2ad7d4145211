# SPDX-License-Identifier: GPL-2.0-or-later
"""Two hosts create, claim, update and delete VMs on the same paths at once: a path has one owner, no image is lost, and
nothing is left that nobody accounts for. VIRTX_STRESS_ROUNDS is for each host."""

import hashlib
import os
import random
import re
import threading

import pytest
from conftest import BUILD, PREFIX, disk, image_names, vm_told, vmdef, wait_ready
from lab import Lab, wait_for

ROUNDS = int(os.environ.get("VIRTX_STRESS_ROUNDS", "20"))
SEED = int(os.environ.get("VIRTX_STRESS_SEED", "0")) or random.randrange(1 << 30)
PATHS = [f"/vms/ds/stress{n}.raw" for n in range(20)]
LVB = 2002 * 512
MARK = 64

# What a host that comes second, or too late, is told.
REFUSALS = re.compile(
    "exists already|is there already|is held by|No such file or directory|no such resource|"
    "belongs to VM|is not a directory|a leftover of an earlier operation", re.IGNORECASE)


@pytest.fixture(scope="module")
def lab2():
    """Two hosts."""
    with Lab(2, build_dir=BUILD, name=f"{PREFIX}2") as lab:
        for host in lab.hosts:
            wait_ready(host)
        yield lab


class History:
    """What both hosts did to the images. Only the owner of a path changes what is told of it."""

    def __init__(self):
        self.last = {}  # path: the mark of its latest owner
        self.kept = {}  # (path, mark): whether that owner left the image behind

    def content(self, path, prov):
        """What a new owner finds in the image."""
        return bytes(MARK) if prov else self.last[path]

    def left(self):
        """The images without an owner: {path: mark}."""
        return {path: mark for path, mark in self.last.items() if self.kept.get((path, mark))}


class Worker(threading.Thread):
    """One host's share. It marks the images of its VMs, and finds its marks again."""

    def __init__(self, lab, host, seed, history):
        super().__init__(name=host.name)
        self.lab, self.host, self.random, self.history = lab, host, random.Random(seed), history
        self.vms = {}  # uuid: {path: mark}
        self.counts = {}
        self.failure = None

    def run(self):
        try:
            for n in range(ROUNDS):
                self.round(n)
        except BaseException as failure:  # pylint: disable=broad-except
            self.failure = failure

    def round(self, n):
        action = self.random.choice([self.create, self.create, self.update, self.delete])
        if action != self.create and not self.vms:
            action = self.create
        status, text = action(n)
        name = f"{action.__name__} {status}"
        self.counts[name] = self.counts.get(name, 0) + 1
        assert status in (201, 204) or REFUSALS.search(text), (self.name, n, name, text)

    # Storage as it is, past the API

    def local(self, path):
        return path.replace("/vms", self.lab.vms, 1)

    def owner(self, path):
        name = hashlib.md5(path.removeprefix("/vms/ds/").encode()).hexdigest()
        with open(f"{self.lab.vms}/lock/{name}/{name}", "rb") as file:
            file.seek(LVB)
            return file.read(36).decode()

    def read(self, path):
        with open(self.local(path), "rb") as file:
            return file.read(MARK)

    def mark(self, uuid, path, prov, n):
        """Write into the image what only its owner may; what was in it is what its history tells."""
        assert self.read(path) == self.history.content(path, prov), path
        text = f"{self.name} {uuid} {n}".encode().ljust(MARK)
        with open(self.local(path), "r+b") as file:
            file.write(text)
        self.history.last[path] = text
        return text

    def give_up(self, disks, storage):
        for path, mark in disks.items():
            self.history.kept[path, mark] = not storage

    def check(self, uuid):
        """All disks of one of its VMs are its own, as it left them."""
        for path, mark in self.vms[uuid].items():
            assert self.owner(path) == uuid, path
            assert self.read(path) == mark, path

    # What it does

    def disks(self, paths):
        """Mostly such as can succeed, when nobody comes between."""
        return [disk(path, size=1, prov=0 if os.path.exists(self.local(path)) and
                     self.random.random() < 0.9 else self.random.choice([1, 1, 2]))
                for path in paths]

    def create(self, n):
        paths = self.random.sample(PATHS, self.random.randint(1, 3))
        first, *others = self.disks(paths)
        answer = self.host.api("POST", "/vms", {"host": self.host.uuid, "vmdef": vmdef(
            f"s{self.name}x{n}", osdisk=first, disks=others)}, timeout=120)
        if answer.status == 201:
            uuid = answer.json()
            self.vms[uuid] = {d["path"]: self.mark(uuid, d["path"], d["prov"], n)
                              for d in (first, *others)}
            self.check(uuid)
        return answer.status, answer.text

    def update(self, n):
        uuid = self.random.choice(list(self.vms))
        self.check(uuid)
        had = self.vms[uuid]
        definition = vm_told(self.host, uuid)["def"]
        keeps = [d for d in [definition["osdisk"], *definition["disks"]]
                 if self.random.random() < 0.5]
        new = [path for path in self.random.sample(PATHS, 2) if path not in had]
        first, *others = keeps + self.disks(new) or [definition["osdisk"]]
        storage = self.random.random() < 0.5
        answer = self.host.api("PUT", f"/vms/{uuid}", {
            "vmdef": {**definition, "osdisk": first, "disks": others},
            "deletestorage": storage}, timeout=120)
        if answer.status == 204:
            self.vms[uuid] = {d["path"]: had.get(d["path"]) or
                              self.mark(uuid, d["path"], d["prov"], n) for d in (first, *others)}
            self.give_up({path: mark for path, mark in had.items() if path not in self.vms[uuid]},
                         storage)
        self.check(uuid)
        return answer.status, answer.text

    def delete(self, n):
        uuid = self.random.choice(list(self.vms))
        self.check(uuid)
        storage = self.random.random() < 0.5
        answer = self.host.api("DELETE", f"/vms/{uuid}", {"deletestorage": storage}, timeout=120)
        assert answer.status == 204, answer.text
        self.give_up(self.vms.pop(uuid), storage)
        return answer.status, answer.text


def account(lab, workers, history):
    """Whatever is there is of a VM that its host lists, or an image that was given up, with what its owner wrote."""
    expected = {path: uuid for worker in workers for uuid, disks in worker.vms.items()
                for path in disks}
    assert sum(len(disks) for worker in workers for disks in worker.vms.values()) == len(expected)
    names = {hashlib.md5(path.removeprefix("/vms/ds/").encode()).hexdigest() for path in expected}
    names |= {f"vm-{uuid}" for worker in workers for uuid in worker.vms}
    assert set(os.listdir(f"{lab.vms}/lock")) == {"__VIRTX__DISKS__"} | names
    images = {f"/vms/ds/{name}" for name in image_names(lab)}
    assert images == set(expected) | set(history.left())
    for path, mark in history.left().items():
        assert workers[0].read(path) == mark, path
    for worker in workers:
        assert set(os.listdir(f"{lab.vms}/xml/{worker.host.uuid}")) == {"lockid", "seen"} | {
            f"{uuid}.xml" for uuid in worker.vms}
        assert set(worker.host.virsh("list", "--all", "--uuid").stdout.split()) == set(worker.vms)
        for uuid in worker.vms:
            worker.check(uuid)
            shown = vm_told(worker.host, uuid)["def"]
            assert {d["path"] for d in [shown["osdisk"], *shown["disks"]]} == set(worker.vms[uuid])


def test_two_hosts(lab2):
    print(f"VIRTX_STRESS_SEED={SEED}")
    history = History()
    workers = [Worker(lab2, host, SEED + n, history) for n, host in enumerate(lab2.hosts)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        print(worker.name, worker.counts)
    for worker in workers:
        if worker.failure:
            raise worker.failure
    account(lab2, workers, history)
    for worker in workers:
        for uuid in list(worker.vms):
            answer = worker.host.api("DELETE", f"/vms/{uuid}", {"deletestorage": True})
            assert answer.status == 204, answer.text
            worker.give_up(worker.vms.pop(uuid), True)
    account(lab2, workers, history)


def test_same_path_at_once(lab2):
    """Both ask for the same disk in the same moment, over and over: one gets it."""
    def ask(host, answers):
        answers.append((host, host.api("POST", "/vms", {"host": host.uuid, "vmdef": vmdef(
            "race", osdisk=disk("/vms/ds/race.qcow2", size=1))}, timeout=60)))

    for n in range(max(5, ROUNDS // 4)):
        answers = []
        threads = [threading.Thread(target=ask, args=(host, answers)) for host in lab2.hosts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        won = [(host, answer.json()) for host, answer in answers if answer.status == 201]
        lost = [answer for _, answer in answers if answer.status != 201]
        assert len(won) <= 1 and all(REFUSALS.search(a.text) for a in lost), [
            (a.status, a.text) for _, a in answers]
        for host, uuid in won:
            assert host.api("DELETE", f"/vms/{uuid}", {"deletestorage": True}).status == 204
        wait_for("the path to be free", lambda: os.listdir(f"{lab2.vms}/lock") == [
            "__VIRTX__DISKS__"] and "race.qcow2" not in os.listdir(f"{lab2.vms}/ds"), 30)
