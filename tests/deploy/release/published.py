"""Published schemas of the kinds that are deployed, each made strict: a field that it does not have is refused.

Kubernetes' own kinds: the API's schemas, which kubernetes-validate carries.

Istio's kinds: the models that cloudcoil.models.istio has generated from Istio's CustomResourceDefinitions.  They are
1.24's, while the charts install 1.30.3: a field that Istio got since then is refused here.  What Istio's webhook checks
besides, and rules in CEL, are in no schema.

SeldonDeployment: Seldon's own model of it, in the SDK of its product, seldon-deploy-sdk.  Outside of pods it has the
fields of the CustomResourceDefinition at Seldon Core's tag v1.17.1; only the metadata of pods and the resources of the
orchestrator are a newer Kubernetes' (without clusterName, with managedFields and claims).  It says neither which fields
there must be nor which texts a field takes: the local cluster's schema and webhook do.  Pods and what else is
Kubernetes' own in it must fit that model and Kubernetes' schema alike.

Where the charts are, tests/deploy/cluster/test_render.py takes their CustomResourceDefinitions as well.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
from kubernetes_validate.utils import schema_contents  # type: ignore[import-untyped]

VERSION = "1.32"
Schema = dict[str, Any]

_SELDON = "machinelearning.seldon.io/v1", "SeldonDeployment"
_KUBERNETES = {
    "Container": "api.core.v1.Container",
    "EnvVar": "api.core.v1.EnvVar",
    "FieldsV1": "apimachinery.pkg.apis.meta.v1.FieldsV1",
    "IntOrString": "apimachinery.pkg.util.intstr.IntOrString",
    # The SDK has one type for hpaSpec.metricsv2 and for hpaSpec.metrics, which is autoscaling/v2beta1's in truth.
    "MetricSpec": "api.autoscaling.v2.MetricSpec",
    "ObjectMeta": "apimachinery.pkg.apis.meta.v1.ObjectMeta",
    "PodSpec": "api.core.v1.PodSpec",
    "Quantity": "apimachinery.pkg.api.resource.Quantity",
    "ResourceRequirements": "api.core.v1.ResourceRequirements",
}
"""Types of Seldon's model that are Kubernetes' own, by their names there."""
_SIMPLE: dict[str, Schema] = {"str": {"type": "string"}, "int": {"type": "integer"}, "bool": {"type": "boolean"}}
_NO_STRINGS: dict[str, Schema] = {
    "Conditions": {"type": "array"},
    "ResourceList": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Quantity"}},
}
"""Types without fields in the SDK that are no strings in Go."""


def check(item: dict[str, Any]) -> None:
    """Raises jsonschema.ValidationError, and another error where nobody has published a schema of the kind."""
    kind = item["apiVersion"], item["kind"]
    if kind == _SELDON:
        jsonschema.Draft202012Validator(seldon()).validate(item)
    elif item["apiVersion"].partition("/")[0].endswith(".istio.io"):
        jsonschema.Draft202012Validator(_istio(*kind)).validate(item)
    else:
        kubernetes_validate.validate(item, VERSION, strict=True)


@functools.cache
def seldon() -> Schema:
    """The schema of a SeldonDeployment, with Kubernetes' definitions among its own."""
    models = importlib.import_module("seldon_deploy_sdk.models")
    own = {name: _defined(name, model) for name, model in vars(models).items() if hasattr(model, "swagger_types")}
    kubernetes = schema_contents(f"kubernetes-json-schema/v{VERSION}.0-local-strict/_definitions.json", VERSION)
    return {"$ref": f"#/$defs/{_SELDON[1]}", "$defs": {**kubernetes["$defs"], **own}}


def _defined(name: str, model: Any) -> Schema:
    fields = {model.attribute_map[field]: _typed(text) for field, text in model.swagger_types.items()}
    closed = {"type": "object", "properties": fields, "additionalProperties": False}
    if name not in _KUBERNETES:
        return closed if fields else _NO_STRINGS.get(name, {"type": "string"})
    kubernetes = {"$ref": f"#/$defs/io.k8s.{_KUBERNETES[name]}"}
    return {"allOf": [closed, kubernetes]} if fields else kubernetes


def _typed(text: str) -> Schema:
    """What the SDK writes as `str`, `PodSpec`, `list[PodSpec]` or `dict(str, str)`."""
    if text.startswith("list["):
        return {"type": "array", "items": _typed(text[len("list[") : -1])}
    if text.startswith("dict("):
        return {"type": "object", "additionalProperties": _typed(text[len("dict(str, ") : -1])}
    return _SIMPLE.get(text, {"$ref": f"#/$defs/{text}"})


@functools.cache
def _istio(api_version: str, kind: str) -> Schema:
    group, _, version = api_version.partition("/")
    module = importlib.import_module(f"cloudcoil.models.istio.{group.removesuffix('.istio.io')}.{version}")
    schema: Schema = _closed(getattr(module, kind).model_json_schema())
    return schema


def _closed(schema: Any) -> Any:
    """Without the null that pydantic adds to what may be left out; a model without fields stays open."""
    if not isinstance(schema, dict):
        return schema
    closed = dict(schema)
    for name in ("properties", "$defs"):
        if name in schema:
            closed[name] = {each: _closed(value) for each, value in schema[name].items()}
    for name in ("items", "additionalProperties"):
        if name in schema:
            closed[name] = _closed(schema[name])
    if schema.get("properties"):
        closed["additionalProperties"] = False
    choices = [_closed(each) for each in closed.pop("anyOf", ()) if each != {"type": "null"}]
    if len(choices) > 1:
        closed["anyOf"] = choices
    return closed | choices[0] if len(choices) == 1 else closed
