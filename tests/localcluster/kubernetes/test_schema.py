"""The local cluster's schema of a SeldonDeployment against the published ones (tests/deploy/release/published.py).

What is `any` in it is not looked into.  Which fields there must be is not compared: Seldon's model does not say.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import jsonschema
import pytest

from localcluster.kubernetes.errors import Invalid
from localcluster.kubernetes.state.decoder import first_fault
from localcluster.kubernetes.state.kinds import DEPLOYMENT, SELDON
from localcluster.kubernetes.state.schema import Schema, schema_of
from localcluster.kubernetes.state.validation import check
from tests.deploy.release import published
from tests.localcluster.kubernetes.cluster import manifest

PUBLISHED = published.seldon()
UNKNOWN_HERE = {
    # A graph may be of any depth.  Without Seldon's orchestrator only a graph of one node is served, here as there.
    "spec.predictors[].graph" + 5 * ".children[]" + ".children: unknown here",
}


def test_fields_and_types_of_a_seldon_deployment_are_the_published_ones() -> None:
    assert set(differences(schema_of("SeldonDeployment"), PUBLISHED)) == UNKNOWN_HERE


def test_a_difference_is_found() -> None:
    ours = schema_of("SeldonDeployment")
    spec = dict(ours["spec"])
    (predictor,) = spec["predictors!"]
    wrong = {name: value for name, value in predictor.items() if name != "traffic"} | {"shadow": "string", "own": "any"}
    found = set(differences(ours | {"spec": spec | {"predictors!": [wrong]}}, PUBLISHED)) - UNKNOWN_HERE
    assert found == {
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


def differences(ours: Schema, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Fields that one of them does not have, and those of another type."""
    theirs = resolved(schema)
    if ours == "any":
        return
    wanted = {list: "array", dict: "object"}.get(type(ours)) or str(ours).replace("time", "string")
    if notation(theirs) != wanted:
        yield f"{path}: {wanted}, published as {notation(theirs)}"
    elif isinstance(ours, list):
        yield from differences(ours[0], theirs["items"], f"{path}[]")
    elif isinstance(ours, dict):
        known = {name.removesuffix("!"): value for name, value in ours.items()}
        for name in known.keys() | theirs["properties"].keys():
            inner = f"{path}.{name}".lstrip(".")
            if name not in theirs["properties"]:
                yield f"{inner}: known here alone"
            elif name not in known:
                yield f"{inner}: unknown here"
            else:
                yield from differences(known[name], theirs["properties"][name], inner)


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Without references; where Seldon's model and Kubernetes both define a type, as Kubernetes does."""
    while "$ref" in schema or "allOf" in schema:
        schema = schema["allOf"][-1] if "allOf" in schema else PUBLISHED["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema


def notation(schema: dict[str, Any]) -> str:
    """A published type as the local cluster's schema writes it."""
    schema = resolved(schema)
    if "oneOf" in schema:
        return "amount" if schema == PUBLISHED["$defs"]["io.k8s.apimachinery.pkg.api.resource.Quantity"] else "either"
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    kind = str(next(each for each in kinds if each != "null"))
    if kind == "object" and "properties" not in schema and "additionalProperties" in schema:
        return {"string": "map", "amount": "amounts"}[notation(schema["additionalProperties"])]
    return kind
