# SPDX-License-Identifier: GPL-2.0-or-later
"""What schemas/openapi.json is for: a generator makes a client of it that leads a VM through its life; answers are as it
says, and what it requires of requests is required."""

import copy
import json
import os
import subprocess
import sys

import conftest
import jsonschema
import pytest
from conftest import BUILD, HERE, ROOT, create, delete, disk, vmdef

GENERATOR = "openapi-python-client==0.29.1"

with open(os.path.join(ROOT, "schemas", "openapi.json"), encoding="utf-8") as source:
    DOCUMENT = json.load(source)


@pytest.fixture(scope="module")
def generator():
    """A venv with the generator, and what its clients need; it is kept in the build directory."""
    venv = f"{BUILD}/{GENERATOR}"
    if not os.path.exists(f"{venv}/complete"):
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        said = subprocess.run([f"{venv}/bin/pip", "install", "-q", GENERATOR], capture_output=True, text=True)
        if said.returncode:
            pytest.skip(f"{GENERATOR} cannot be had: {said.stderr.strip().splitlines()[-1]}")
        with open(f"{venv}/complete", "w", encoding="ascii"):
            pass
    return venv


def test_generated_client(host, generator, tmp_path):
    """The document as virtxd gives it; the generator has nothing to warn of."""
    document = tmp_path / "openapi.json"
    document.write_text(host.api("GET", "/openapi.json").text)
    version = json.loads(document.read_text())["info"]["version"]
    assert f" {version}\n" in host.virtx("--version").stdout
    made = subprocess.run([f"{generator}/bin/openapi-python-client", "generate", "--path", document, "--meta", "none",
                           "--output-path", tmp_path / "virtx_api", "--fail-on-warning"], capture_output=True, text=True,
                          env={"PATH": f"{generator}/bin:{os.environ['PATH']}"})
    assert made.returncode == 0, made.stdout + made.stderr
    done = host.run([f"{generator}/bin/python", f"{HERE}/generated_life.py", "http://127.0.0.1:8080", host.uuid],
                    env={"PYTHONPATH": str(tmp_path)}, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def valid(answer, path, method="get"):
    """The answer, which is of the schema that the document has for it, and has no field that is not there."""
    known = DOCUMENT["paths"][path][method]["responses"]
    response = known.get(str(answer.status), known["default"])
    if "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    (content,) = response["content"].values()
    closed = copy.deepcopy(DOCUMENT["components"])
    for schema in closed["schemas"].values():
        if schema["type"] == "object":
            schema["additionalProperties"] = False
    jsonschema.Draft202012Validator({**content["schema"], "components": closed}).validate(answer.json())
    return answer


def test_answers(host):
    """Of each kind that can be had from one host."""
    uuid = create(host, vmdef("answers", disks=[disk("/vms/ds/answers-2.qcow2")], custom=[{"name": "a", "value": "b"}]))
    for path, param in (("/hosts", ""), ("/hosts/{uuid}", host.uuid), ("/hosts/{uuid}/maintenance", host.uuid), ("/vms", ""),
                        ("/vms/{uuid}", uuid), ("/vms/{uuid}/runstate", uuid), ("/operations", ""), ("/readyz", "")):
        assert valid(host.api("GET", path.replace("{uuid}", param)), path).status == 200
    operation = host.api("GET", "/operations").json()["items"][0]["id"]
    assert valid(host.api("GET", f"/operations/{operation}"), "/operations/{id}").status == 200
    nowhere = "10000000-0000-4000-8000-00000000dead"
    assert valid(host.api("GET", f"/vms/{nowhere}"), "/vms/{uuid}").status == 404
    answer = host.api("POST", f"/hosts/{host.uuid}/maintenance?dry_run=1")
    assert valid(answer, "/hosts/{uuid}/maintenance", "post").status == 200
    assert valid(host.api("POST", f"/hosts/{host.uuid}/repair"), "/hosts/{uuid}/repair", "post").status == 200
    assert valid(host.api("POST", "/vms", {"vmdef": {}}), "/vms", "post").status == 400
    answer = host.api("POST", "/vms?dry_run=1", {"vmdef": vmdef("answers-3")})
    assert valid(answer, "/vms", "post").status == 200
    delete(host, uuid)


def required(schema, value, at=()):
    """Where in a request each field is that the document requires, and each that it does not."""
    schema = DOCUMENT["components"]["schemas"][schema]
    for name, part in value.items():
        yield (*at, name), name in schema.get("required", [])
        ref = schema["properties"][name].get("$ref", "").rpartition("/")[2]
        if isinstance(part, dict):
            yield from required(ref, part, (*at, name))
        elif isinstance(part, list):
            for index, item in enumerate(part):
                yield from required(schema["properties"][name]["items"]["$ref"].rpartition("/")[2], item,
                                    (*at, name, index))


def without(request, at):
    request = copy.deepcopy(request)
    inner = request
    for key in at[:-1]:
        inner = inner[key]
    del inner[at[-1]]
    return request


def test_required(host):
    """Without a field that the document requires a VM is refused, and without another one it is not, but for what a CPU
    has to have: that is a filter, too, which has none."""
    definition = vmdef("required", osdisk=disk("/vms/ds/required.qcow2", prov=0),
                       disks=[disk("/vms/ds/required-2.qcow2", prov=0)],
                       nets=[conftest.net("default", 0)], custom=[{"name": "a", "value": "b"}])
    request = {"vmdef": definition, "host": host.uuid}
    fields = dict(required("VmCreateOptions", request))
    assert sum(fields.values()) == 9, fields
    for at, needed in fields.items():
        if at[:2] == ("vmdef", "cpudef") and len(at) == 3:
            continue
        answer = host.api("POST", "/vms?dry_run=1", without(request, at))
        if needed:
            assert answer.status == 400, (at, answer.text)
        else:
            assert answer.status != 400, (at, answer.text)
