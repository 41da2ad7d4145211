# SPDX-License-Identifier: GPL-2.0-or-later
"""Who uses the VMs: carries out a slot's actions through the API, and keeps what it was told."""

import json
import re
import shutil
import threading
import time

from lab import LabError
from lab.vms import disk, vmdef

# Answers that leave open what has become of it, or say that it goes on.
OPEN = (500, 502, 503, 504)
GOES_ON = re.compile("not over yet|not all is undone|goes on|being found out|tried again|under way", re.IGNORECASE)
ANSWER = 40     # s that a client waits for an answer
FOLLOWS = 30    # s that it waits for the end of an operation that goes on


class Vm:
    """What its only client knows of a VM."""

    def __init__(self, name):
        self.name = name
        self.uuid = None
        self.state = "absent"   # off, running, paused; None: an answer, or a fault, left it open
        self.mark = ""          # the value of its custom field; None as above
        self.last = None        # what was asked for last that changes it
        self.harmed = False     # a fault may have ended its guest, or started it, since that was told
        self.harmed_at = 0.0    # when
        self.by_hand = False    # somebody did

    def __repr__(self):
        return f"{self.name} {self.uuid} {self.state}"


class Client(threading.Thread):
    """A slot's."""

    def __init__(self, round_, actions, slot):
        super().__init__(name=f"client {slot}", daemon=True)
        self.round, self.actions, self.slot = round_, actions, slot
        self.made = 0
        self.coin = 0       # the choice of the action that is carried out
        self.vms = []       # all that it ever had
        self.vm = self.next_vm()

    def next_vm(self):
        self.made += 1
        self.vm = Vm(f"c{self.slot}n{self.made}")
        self.vms.append(self.vm)
        return self.vm

    def run(self):
        for action in self.actions:
            while self.round.journal.now() < action["at"]:
                time.sleep(0.05)
            if self.round.journal.now() > self.round.seconds + 5:
                break
            try:
                self.act(action)
            except Exception as error:  # a fault of the campaign's own: told, and the round fails
                self.round.journal.violation("the client itself failed", vm=self.vm.uuid, host=None, error=repr(error))

    def act(self, action):
        name = action["name"] if self.vm.uuid or action["name"] in ("list", "maintain") else "create"
        self.coin = action["choice"]
        getattr(self, name)(self.round.lab.hosts[action["host"]], self.round.lab.hosts[action["other"]], action["choice"])

    def ask(self, host, what, method, path, body=None):
        """The answer, None where there was none; (the answer, whether it leaves open what is so)."""
        asked = self.round.journal.now()
        try:
            answer = host.api(method, path, body, timeout=ANSWER)
            told = {"status": answer.status, "text": answer.text[:400]}
        except (OSError, LabError, ValueError) as error:
            answer, told = None, {"error": repr(error)}
        self.round.journal.tell(self.name, action=what, at=host.name, vm=self.vm.uuid, name=self.vm.name, asked=round(asked, 2), **told)
        return answer, not answer or answer.status in OPEN or bool(answer.status >= 400 and GOES_ON.search(answer.text))

    def change(self, host, what, method, path, body, after):
        """Ask for a change of the VM, after which it is in that state; the answer if it was done."""
        vm, before, asked = self.vm, self.vm.state, self.round.journal.now()
        vm.state, vm.last = None, what
        answer, is_open = self.ask(host, what, method, path, body)
        if is_open:
            if not vm.uuid or self.coin < 0.5:
                self.next_vm()  # that one is left alone, so that what became of it is seen in the end
            return None
        vm.state = after if answer.status < 300 else before
        if answer.status < 300 and asked > max(self.round.harm_until, vm.harmed_at):
            vm.harmed = vm.by_hand = False
        return answer if answer.status < 300 else None

    def create(self, host, other, choice):
        vm = self.vm
        image = f"{self.round.lab.vms}/ds/{vm.name}.raw"
        try:
            shutil.copy(self.round.image, image)
        except OSError as error:
            self.round.journal.tell(self.name, action="copy", name=vm.name, error=repr(error))
            return
        body = {"vmdef": vmdef(vm.name, osdisk={"path": f"/vms/ds/{vm.name}.raw", "man": 1},
                               disks=[disk(f"/vms/ds/{vm.name}-count.raw", size=1)],
                               custom=[{"name": "mark", "value": "0"}]),
                "host": other.uuid if choice < 0.7 else ""}
        answer = self.change(host, "create", "POST", "/vms", body, "off")
        if answer:
            vm.uuid, vm.mark = answer.json(), "0"

    def power(self, host, what, method, body, after):
        return self.change(host, f"{method} {what}", method, f"/vms/{self.vm.uuid}/runstate/{what}", body, after)

    def boot(self, host, _other, _choice):
        self.power(host, "boot", "POST", None, "running")

    def shutdown(self, host, _other, _choice):
        # By the power button: accepted is not done.
        vm = self.vm
        if self.power(host, "boot", "DELETE", {"force": 0}, None):
            vm.harmed = True

    def poweroff(self, host, _other, choice):
        self.power(host, "boot", "DELETE", {"force": 1 if choice < 0.3 else 2}, "off")

    def pause(self, host, _other, _choice):
        self.power(host, "pause", "POST", None, "paused")

    def resume(self, host, _other, _choice):
        self.power(host, "pause", "DELETE", None, "running")

    def migrate(self, host, other, _choice):
        self.transfer(host, other, 1)

    def move(self, host, other, _choice):
        self.transfer(host, other, 0)

    def transfer(self, host, other, kind):
        vm = self.vm
        answer = self.power(host, "migrate", "POST", {"host": other.uuid, "migration_type": kind}, vm.state)
        if answer and answer.status == 202:
            self.follow(host, answer.json()["id"])

    def follow(self, host, operation):
        """Wait for the end of an operation, for a while."""
        ends = self.round.journal.now() + FOLLOWS
        while self.round.journal.now() < ends:
            try:
                answer = host.api("GET", f"/operations/{operation}", timeout=10)
                if answer.status == 200 and answer.json()["state"] != "started":
                    self.round.journal.tell(self.name, ended=operation, vm=self.vm.uuid, state=answer.json()["state"],
                                            text=answer.json()["msg"])
                    return
            except (OSError, LabError, ValueError):
                pass
            time.sleep(0.3)
        self.round.journal.tell(self.name, ended=operation, vm=self.vm.uuid, state="not seen")

    def update(self, host, _other, choice):
        """Another value of a custom field."""
        vm = self.vm
        answer, _ = self.ask(host, "get", "GET", f"/vms/{vm.uuid}")
        if not answer or answer.status != 200:
            return
        definition, mark = answer.json()["def"], str(int(choice * 1000000))
        definition["custom"] = [{"name": "mark", "value": mark}]
        before, vm.mark = vm.mark, None
        answer, is_open = self.ask(host, "update", "PUT", f"/vms/{vm.uuid}", {"vmdef": definition, "deletestorage": False})
        if not is_open:
            vm.mark = mark if answer.status < 300 else before

    def register(self, host, other, _choice):
        self.ask(host, "register", "PUT", f"/vms/{self.vm.uuid}/register", {"host": other.uuid})

    def failover(self, host, other, _choice):
        self.taken(host, "failover", {"host": other.uuid})

    def recall(self, host, other, choice):
        self.taken(host, "recall", {"host": other.uuid, "force": choice < 0.5})

    def taken(self, host, what, body):
        """It may run again or not, but on one host."""
        vm = self.vm
        answer = self.change(host, what, "POST", f"/vms/{vm.uuid}/{what}", body, vm.state)
        if answer:
            vm.state = None

    def delete(self, host, _other, _choice):
        if self.change(host, "delete", "DELETE", f"/vms/{self.vm.uuid}", {"deletestorage": True}, "absent"):
            self.next_vm()

    def maintain(self, host, other, choice):
        """Into maintenance and out of it, by two hosts."""
        answer, _ = self.ask(host, "maintain", "POST", f"/hosts/{other.uuid}/maintenance")
        if answer and answer.status < 300:
            time.sleep(choice * 5)
            self.ask(other, "unmaintain", "DELETE", f"/hosts/{other.uuid}/maintenance", {"back": choice < 0.5})

    def list(self, host, _other, _choice):
        answer, _ = self.ask(host, "list", "GET", "/vms")
        if answer and answer.status == 200:
            json.loads(answer.body)
