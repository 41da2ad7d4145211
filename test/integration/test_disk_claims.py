# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk has one VM: what belongs to another is refused, by whatever name and in whatever state it is found."""

import hashlib
import os
import pathlib
import shutil
import uuid as uuids

import pytest
from conftest import create, delete, disk, vmdef
from disks import (MODES, SIZE, definition_of, hidden, lun, make_signature, nothing_left, open_to_qemu,  # noqa: F401
                   resource, signature, table, update)  # noqa: F401


def test_claim_after_a_lost_lease(lab1, host):
    """The registry still says whose disk it is."""
    uuid = create(host, vmdef("leaseless"))
    path = "/vms/ds/leaseless.qcow2"
    name = hashlib.md5(b"leaseless.qcow2").hexdigest()
    os.rename(f"{lab1.vms}/lock/{name}", f"{lab1.vms}/lease")
    answer = host.api("POST", "/vms", {"vmdef": vmdef("thief", osdisk=disk(path, prov=0)), "host": host.uuid})
    assert answer.status == 422 and uuid in answer.json()["detail"], answer.text
    os.rename(f"{lab1.vms}/lease", f"{lab1.vms}/lock/{name}")
    delete(host, uuid)


def test_image_of_two_names(lab1, host):
    """A second name of a file is no second disk: not of another VM's image, and not of one that one VM has twice. A CD
    may be shared, and a VM that has its disk goes on."""
    uuid = create(host, vmdef("named"))
    first, second = (f"{lab1.vms}/ds/{name}.qcow2" for name in ("named", "renamed"))
    os.link(first, second)
    other = create(host, vmdef("other"))
    path = "/vms/ds/renamed.qcow2"
    for man in (0, 1):
        claimed = disk(path, man=man, prov=0)
        for answer in (host.api("POST", "/vms", {"vmdef": vmdef("thief", osdisk=claimed), "host": host.uuid}),
                       update(host, other, {**definition_of(host, other), "disks": [claimed]})):
            assert answer.status == 422, answer.text
            assert f"'{path}': it has 2 names (hard links)" in answer.json()["detail"]
    assert not os.path.exists(f"{lab1.vms}/lock/{hashlib.md5(b'renamed.qcow2').hexdigest()}")
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    host.virsh("destroy", uuid)
    delete(host, uuid)
    delete(host, other)
    os.unlink(second)

    pathlib.Path(f"{lab1.vms}/ds/a.iso").write_bytes(bytes(1 << 20))
    os.link(f"{lab1.vms}/ds/a.iso", f"{lab1.vms}/ds/b.iso")
    delete(host, create(host, vmdef("cds", disks=[disk(f"/vms/ds/{n}.iso", device=1, bus=2, man=0, prov=0)
                                                  for n in ("a", "b")])))
    for name in ("a", "b"):
        os.unlink(f"{lab1.vms}/ds/{name}.iso")
    nothing_left(lab1, host)


def test_unmanaged_of_another(lab1, host, table, lun):
    """An unmanaged disk is none that another VM manages: not when it is made, updated or booted."""
    paths = ["/vms/ds/table/managed.qcow2", lun[0]]
    fields = [{}, {"device": 2, "bus": 1, "prov": 0}]
    uuid = create(host, vmdef("manages", disks=[disk(p, **f) for p, f in zip(paths, fields)]))
    other = create(host, vmdef("other"))
    definition = definition_of(host, other)
    for path, more in zip(paths, fields):
        shared = disk(path, **{**more, "man": 0, "prov": 0})
        for answer in (host.api("POST", "/vms", {"vmdef": vmdef("shares", disks=[shared]), "host": ""}),
                       update(host, other, {**definition, "disks": [shared]})):
            assert answer.status == 422, answer.text
            assert f"disk '{path}' is managed for VM '{uuid}'" in answer.json()["detail"]
    assert definition_of(host, other) == definition
    # It is nobody's that anything tells of when the other VM gets it, and is again when that boots.
    shared = [disk(path, **{**more, "man": 0, "prov": 0}) for path, more in zip(paths, fields)]
    with hidden(f"{lab1.vms}/xml/{host.uuid}/{uuid}.xml", *(f"{lab1.vms}/lock/{resource(path)}" for path in paths)):
        assert update(host, other, {**definition, "disks": shared}).status == 204
    shared = definition_of(host, other)["disks"]
    for at in range(len(paths)):
        assert update(host, other, {**definition, "disks": shared[at:]}).status == 204
        answer = host.api("POST", f"/vms/{other}/runstate/boot")
        assert answer.status == 422, answer.text
        assert f"disk '{paths[at]}' is managed for VM '{uuid}'" in answer.json()["detail"]
    delete(host, other)
    delete(host, uuid)
    nothing_left(lab1, host)


def test_managed_of_another(lab1, host, table, lun):
    """What another VM has in any way cannot become a managed disk, which would be deleted or emptied with its VM."""
    cases = {"/vms/ds/table/shared.qcow2": {}, "/vms/ds/table/shared.iso": {"device": 1, "bus": 2},
             lun[0]: {"device": 2, "bus": 1}}
    os.mkdir(f"{lab1.vms}/ds/table")
    host.run(["qemu-img", "create", "-q", "-f", "qcow2", "/vms/ds/table/shared.qcow2", "4M"])
    host.run(["chmod", "a+w", "/vms/ds/table/shared.qcow2"])
    host.run(["truncate", "-s", "1M", "/vms/ds/table/shared.iso"])
    make_signature(lun[1])
    uuid = create(host, vmdef("has", disks=[disk(p, **{**f, "man": 0, "prov": 0}) for p, f in cases.items()]))
    other = create(host, vmdef("other"))
    definition = definition_of(host, other)
    for path, fields in cases.items():
        for prov in (0, 1) if path == lun[0] else (0,):
            claimed = disk(path, **{**fields, "man": 1, "prov": prov, "size": SIZE})
            for answer in (host.api("POST", "/vms", {"vmdef": vmdef("claims", disks=[claimed]), "host": host.uuid}),
                           update(host, other, {**definition, "disks": [claimed]})):
                assert answer.status == 422, answer.text
                assert answer.json()["detail"].endswith(
                    f"disk '{path}' belongs to VM '{uuid}', whose definition has it unmanaged")
        assert not os.path.exists(f"{lab1.vms}/lock/{resource(path)}")
    assert definition_of(host, other) == definition and signature(lun[1])
    # Two may have one that neither of them manages.
    assert update(host, other, {**definition, "disks": [disk("/vms/ds/table/shared.qcow2", man=0, prov=0)]}).status == 204
    assert host.api("POST", f"/vms/{other}/runstate/boot").status == 204
    host.virsh("destroy", other)
    delete(host, other)
    delete(host, uuid)
    assert len(os.listdir(f"{lab1.vms}/ds/table")) == 2
    nothing_left(lab1, host)


def test_unmanaged_after_a_lost_lease(lab1, host, table, lun):
    """The registry says whose the disk is to one that would write to it, too: when it is made, updated or booted."""
    paths = ["/vms/ds/table/leaseless.qcow2", lun[0]]
    fields = [{}, {"device": 2, "bus": 1, "prov": 0}]
    registered = f"{lab1.vms}/xml/{host.uuid}"
    leases = [f"{lab1.vms}/lock/{resource(path)}" for path in paths]
    uuid = create(host, vmdef("leaseless", disks=[disk(p, **f) for p, f in zip(paths, fields)]))
    other = create(host, vmdef("other"))
    definition = definition_of(host, other)
    shared = [disk(path, **{**more, "man": 0, "prov": 0}) for path, more in zip(paths, fields)]
    with hidden(*leases):
        for path, wanted in zip(paths, shared):
            said = f"disk '{path}' belongs to VM '{uuid}', whose definition has it"
            for answer in (host.api("POST", "/vms", {"vmdef": vmdef("shares", disks=[wanted]), "host": host.uuid}),
                           update(host, other, {**definition, "disks": [wanted]})):
                assert answer.status == 422 and answer.json()["detail"].endswith(said), answer.text
            with hidden(f"{registered}/{uuid}.xml"):
                assert update(host, other, {**definition, "disks": [wanted]}).status == 204
            answer = host.api("POST", f"/vms/{other}/runstate/boot")
            assert answer.status == 422 and answer.json()["detail"].endswith(said), answer.text
            assert update(host, other, definition).status == 204
    delete(host, uuid)

    # What cannot be read keeps no VM off that has its disk.
    host.run(["qemu-img", "create", "-q", "-f", "qcow2", paths[0], "4M"])
    host.run(["chmod", "a+w", paths[0]])
    assert update(host, other, {**definition, "disks": shared[:1]}).status == 204
    strange = f"{lab1.vms}/xml/{uuids.uuid4()}"
    os.mkdir(strange)
    pathlib.Path(f"{strange}/{uuids.uuid4()}.xml").write_text("<domain")
    try:
        assert host.api("POST", f"/vms/{other}/runstate/boot").status == 204
        answer = host.api("POST", "/vms", {"vmdef": vmdef("shares", disks=shared[:1]), "host": host.uuid})
        assert answer.status == 507 and "is not known" in answer.json()["detail"], answer.text
    finally:
        shutil.rmtree(strange)
    host.virsh("destroy", other)
    delete(host, other)
    nothing_left(lab1, host)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("man", [1, 0], ids=MODES[::-1])
def test_linked_to_another(lab1, host, table, man, symbolic):
    """A file that has become another name of another VM's image is not booted from, whichever of the two is asked; of a
    symbolic link it is known which is the file."""
    first, second = (f"/vms/ds/table/{name}.qcow2" for name in ("first", "second"))
    one = create(host, vmdef("first", osdisk=disk(first)))
    if not man:
        host.run(["qemu-img", "create", "-q", "-f", "qcow2", second, "4M"])
    two = create(host, vmdef("second", disks=[disk(second, man=man, prov=man)]))
    host.run(["ln", "-sf" if symbolic else "-f", first, second])
    for uuid, path, its, other in ((two, second, first, one), (one, first, second, two))[:1 if symbolic else 2]:
        answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
        assert answer.status == 422, answer.text
        assert (f"disk '{path}' is by another name (a link) disk '{its}' of VM '{other}'"
                in answer.json()["detail"]), answer.text
    # A name that no VM has is in nobody's way.
    host.run(["mv", second, "/vms/ds/table/backup"])
    assert host.api("POST", f"/vms/{one}/runstate/boot").status == 204
    host.virsh("destroy", one)
    # What it is a link to is never deleted through it.
    host.run(["rm", "/vms/ds/table/backup"] if symbolic else ["mv", "/vms/ds/table/backup", second])
    answer = host.api("DELETE", f"/vms/{two}", {"deletestorage": True})
    assert answer.status in (200, 204), answer.text
    delete(host, one)
    nothing_left(lab1, host)
