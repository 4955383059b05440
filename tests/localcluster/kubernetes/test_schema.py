"""The local cluster's schema of a SeldonDeployment against the published ones (tests/deploy/release/published.py).

What is `{}` in it, or an object without fields, is not looked into.  Which fields there must be is not compared:
Seldon's model does not say.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import jsonschema
import pytest

from localcluster.kubernetes.errors import Invalid
from localcluster.kubernetes.state.decoder import first_fault
from localcluster.kubernetes.state.kinds import DEPLOYMENT, SELDON
from localcluster.kubernetes.state.schema import Schema, definitions, name_of
from localcluster.kubernetes.state.validation import check
from tests.deploy.release import published
from tests.localcluster.kubernetes.cluster import manifest

PUBLISHED = published.seldon()
UNKNOWN_HERE = {
    # A graph may be of any depth.  Without Seldon's orchestrator only a graph of one node is served, here as there.
    "spec.predictors[].graph" + 5 * ".children[]" + ".children: unknown here",
}


def test_fields_and_types_of_a_seldon_deployment_are_the_published_ones() -> None:
    assert set(differences(definitions()[name_of(SELDON)], PUBLISHED)) == UNKNOWN_HERE


def test_a_difference_is_found() -> None:
    ours = copy.deepcopy(definitions()[name_of(SELDON)])
    fields = ours["properties"]["spec"]["properties"]["predictors"]["items"]["properties"]
    del fields["traffic"]
    fields |= {"shadow": {"type": "string"}, "own": {}}
    assert set(differences(ours, PUBLISHED)) - UNKNOWN_HERE == {
        "spec.predictors[].traffic: unknown here",
        "spec.predictors[].own: known here alone",
        "spec.predictors[].shadow: string, published as boolean",
    }


@pytest.mark.parametrize(("size", "taken"), [("64Mi", True), (67_108_864, True), (5 << 30, True), (True, False)])
def test_a_size_may_be_a_number(size: Any, taken: bool) -> None:
    item = manifest("m", "clf:v3")
    pod = item["spec"]["predictors"][0]["componentSpecs"][0]["spec"]
    pod["volumes"] = [{"name": "tmp", "emptyDir": {"sizeLimit": size}}]
    with nullcontext() if taken else pytest.raises(jsonschema.ValidationError):
        published.check(item)
    with nullcontext() if taken else pytest.raises(Invalid, match="sizeLimit in body must be of type integer,string"):
        check(SELDON, item)
    deployment = {"kind": "Deployment", "spec": {"template": {"spec": pod}}}
    assert (first_fault(DEPLOYMENT, deployment) is None) is taken


def differences(ours: Schema, schema: Schema, path: str = "") -> Iterator[str]:
    """Fields that one of them does not have, and those of another type."""
    theirs, passed = resolved(schema)
    if ours in ({}, {"type": "object"}):
        return
    if "$ref" in ours and ours["$ref"].rpartition("/")[2] in passed:
        return
    if ours.get("type") != kind_of(theirs):
        yield f"{path}: {ours.get('type', ours)}, published as {kind_of(theirs)}"
    elif ours["type"] == "array":
        yield from differences(ours["items"], theirs["items"], f"{path}[]")
    else:
        known, wanted = ours.get("properties", {}), theirs.get("properties", {})
        for name in known.keys() | wanted.keys():
            inner = f"{path}.{name}".lstrip(".")
            if name not in wanted:
                yield f"{inner}: known here alone"
            elif name not in known:
                yield f"{inner}: unknown here"
            else:
                yield from differences(known[name], wanted[name], inner)


def resolved(schema: Schema) -> tuple[Schema, list[str]]:
    """Without references, and their names; of a type that Seldon and Kubernetes both define, Kubernetes' definition."""
    passed = []
    while "$ref" in schema or "allOf" in schema:
        if "$ref" in schema:
            passed.append(schema["$ref"].rpartition("/")[2])
        schema = schema["allOf"][-1] if "allOf" in schema else PUBLISHED["$defs"][passed[-1]]
    return schema, passed


def kind_of(schema: Schema) -> str:
    """The name of a published type, which may stand beside null."""
    kinds = schema.get("type", "any")
    return kinds if isinstance(kinds, str) else str(next(each for each in kinds if each != "null"))
