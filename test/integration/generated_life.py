# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of a VM by the client that a generator has made of schemas/openapi.json: generated_life.py URL HOST, with the
client's folder, virtx_api, in PYTHONPATH. Nothing is sent, and nothing read, but what the client has for it."""

import sys
import time
from uuid import UUID

from virtx_api import Client
from virtx_api.api.hosts import host_get, host_list
from virtx_api.api.operations import operation_get, operation_list
from virtx_api.api.runstate import vm_boot, vm_migrate, vm_pause, vm_resume, vm_runstate_get, vm_shutdown
from virtx_api.api.service import readyz
from virtx_api.api.vms import vm_create, vm_delete, vm_get, vm_list, vm_update
from virtx_api.models import (Cpudef, Cstate, Disk, DiskBus, DiskDevice, DiskManMode, DiskProvMode, FirmwareType, Operation,
                              Placement, Problem, VmCreateOptions, Vmdef, VmdefMemory, VmDeleteOptions, VmMigrateOptions,
                              Vmrunstate, VmShutdownOptions, VmUpdateOptions)


def definition(name, memory):
    return Vmdef(name=name, cpudef=Cpudef(model="maximum", sockets=1, cores=1, threads=1),
                 memory=VmdefMemory(total=memory), firmware=FirmwareType.BIOS,
                 osdisk=Disk(path=f"/vms/ds/{name}.qcow2", device=DiskDevice.DISK, bus=DiskBus.VIRTIO_BLK,
                             man=DiskManMode.MANAGED, prov=DiskProvMode.THIN, size=64))


def main():
    url, host = sys.argv[1:]
    client = Client(base_url=url, raise_on_unexpected_status=True, timeout=300)

    def call(endpoint, status, *args, **kwargs):
        """What an endpoint answers, which has to be of that status."""
        answer = endpoint.sync_detailed(*args, client=client, **kwargs)
        assert answer.status_code == status, (endpoint.__name__, answer)
        return answer.parsed

    def runstate():
        return call(vm_runstate_get, 200, vm).runstate

    assert call(readyz, 200).ready
    listed = call(host_list, 200, cstate=Cstate.ACTIVE)
    assert host in [item.uuid for item in listed.items]
    assert call(host_get, 200, UUID(host)).resources.memory.total > 0

    wanted = VmCreateOptions(vmdef=definition("generated", 64), host=host)
    plan = call(vm_create, 200, body=wanted, dry_run=True)
    assert isinstance(plan, Placement) and plan.host == host and plan.candidates[0].feasible
    vm = call(vm_create, 201, body=wanted)
    assert isinstance(vm, UUID)
    known = call(vm_get, 200, vm)
    assert known.def_.name == "generated" and known.def_.osdisk.prov == DiskProvMode.THIN
    assert known.runinfo.runstate == Vmrunstate.POWEROFF

    call(vm_update, 204, vm, body=VmUpdateOptions(vmdef=definition("generated", 96)))
    assert call(vm_get, 200, vm).def_.memory.total == 96
    call(vm_boot, 204, vm)
    assert runstate() == Vmrunstate.RUNNING
    running = call(vm_list, 200, runstate=Vmrunstate.RUNNING, name="generated")
    assert [UUID(str(item.uuid)) for item in running.items] == [vm]
    call(vm_pause, 204, vm)
    assert runstate() == Vmrunstate.PAUSED
    # One that is not waited for, and is looked at by its operation.
    begun = call(vm_resume, 202, vm, prefer="respond-async")
    assert isinstance(begun, Operation) and begun.op == "VmResume"
    deadline = time.monotonic() + 60
    while (operation := call(operation_get, 200, begun.id)).state == "started":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert operation.state == "completed" and runstate() == Vmrunstate.RUNNING

    refused = call(vm_migrate, 422, vm, body=VmMigrateOptions(host=host))
    assert isinstance(refused, Problem) and refused.status == 422 and refused.detail
    call(vm_shutdown, 204, vm, body=VmShutdownOptions(force=2))
    assert runstate() == Vmrunstate.POWEROFF
    call(vm_delete, 204, vm, body=VmDeleteOptions(deletestorage=True))
    gone = call(vm_get, 404, vm)
    assert isinstance(gone, Problem) and gone.title and gone.detail

    done = [operation.op for operation in call(operation_list, 200, vm=str(vm)).items]
    assert done == ["VmDelete", "VmShutdown", "VmResume", "VmPause", "VmBoot", "VmUpdate", "VmCreate"], done
    print("generated client: fine")


main()
