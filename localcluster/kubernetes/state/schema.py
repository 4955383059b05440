"""The fields that objects may have, their types, and which of them are required, as OpenAPI schemas.

Those of the built-in kinds are Kubernetes' own, as the library kubernetes-validate carries them; a definition's name
ends in that of its Go type.  The library's `validate()` judges nothing here: it stops at the first fault, in words of
JSON Schema, and takes what the API server refuses: numbers of any size, texts that are no time, base64 or amount.

SeldonDeployment is the part of Seldon Core 1.17.1's CRD that the local cluster knows.  `{}` is a value that is not
looked into.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from localcluster.kubernetes.state.kinds import SELDON, VIRTUAL_SERVICE, Kind

Schema = dict[str, Any]

_PUBLISHED = "v1.32.0-local/_definitions.json"
_ROOT = "#/components/schemas/"
_NULLABLE = re.compile(r'"type": \[\s*"(\w+)",\s*"null"\s*\]')
"""Null stands for every optional field's absence, which OpenAPI leaves unsaid."""
_TYPES = {"IntOrString": "either", "Quantity": "quantity", "Time": "time", "MicroTime": "microtime"}


def reference(name: str) -> Schema:
    """The definition of a name, e.g. io.k8s.api.core.v1.Container."""
    return {"$ref": f"{_ROOT}{name}"}


def name_of(kind: Kind) -> str:
    """The name of a kind's definition."""
    group = ".".join(reversed(kind.group.split("."))) if kind.custom else f"io.k8s.api.{kind.group or 'core'}"
    return f"{group}.{kind.version}.{kind.name}"


def schema_of(kind: Kind) -> Schema:
    """The schema of a whole object of the kind."""
    return reference(name_of(kind))


def resolve(schema: Schema) -> Schema:
    """The schema itself, or the definition that it refers to."""
    found: Schema = definitions()[schema["$ref"].removeprefix(_ROOT)] if "$ref" in schema else schema
    return found


def go_name(schema: Schema) -> str:
    """What Go calls the definition that a schema refers to, e.g. v1.Container."""
    return ".".join(schema.get("$ref", "").split(".")[-2:])


def type_of(schema: Schema) -> str:
    """JSON's type; `map` where fields have any name, `bytes` for base64, `any`, or one of the types that are texts:
    `time`, `microtime`, `quantity`, and `either` (a number or a text)."""
    if special := _TYPES.get(go_name(schema).rpartition(".")[2]):
        return special
    found = resolve(schema)
    if found.get("type") == "object" and "properties" not in found:
        return "map" if "additionalProperties" in found else "any"
    return "bytes" if found.get("format") == "byte" else found.get("type", "any")


def field(schema: Schema, name: str) -> Schema | None:
    """The schema of a field of an object or map; None where there is no such field."""
    found = resolve(schema)
    inner: Schema | None = found.get("properties", {}).get(name, found.get("additionalProperties"))
    return inner


def reached_from(names: Iterable[str]) -> dict[str, Schema]:
    """The definitions, and all that they refer to."""
    waiting, found = list(names), dict[str, Schema]()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = definitions()[name]
            waiting += re.findall(f'"{_ROOT}([^"]+)"', json.dumps(found[name]))
    return found


@cache
def definitions() -> dict[str, Schema]:
    """All definitions by name, read once; the library's folder is found without the import of its dependencies."""
    library = find_spec("kubernetes_validate")
    assert library
    assert library.origin
    text = Path(library.origin).with_name("kubernetes-json-schema").joinpath(_PUBLISHED).read_text()
    text = _NULLABLE.sub(r'"type": "\1"', text).replace("#/$defs/", _ROOT)
    published: dict[str, Schema] = json.loads(text)["$defs"]
    return published | _CUSTOM


_STRING, _INTEGER, _OBJECT = {"type": "string"}, {"type": "integer", "format": "int32"}, {"type": "object"}
_TEXTS: Schema = {"type": "object", "additionalProperties": _STRING}
METADATA = reference("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
_POD_SPEC = reference("io.k8s.api.core.v1.PodSpec")
_RESOURCES = reference("io.k8s.api.core.v1.ResourceRequirements")
_EITHER = reference("io.k8s.apimachinery.pkg.util.intstr.IntOrString")


def _fields(*required: str, **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties} | ({"required": [*required]} if required else {})


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _each(schema: Schema, *names: str) -> dict[str, Schema]:
    return dict.fromkeys(names, schema)


def _graph(depth: int) -> Schema:
    """A node; the CRD cannot be recursive either."""
    return _fields(
        "name",
        **_each(_STRING, "name", "type", "implementation"), methods=_list(_STRING), logger=_OBJECT,
        endpoint=_fields(**_each(_STRING, "service_host", "type"),
                         **_each(_INTEGER, "service_port", "httpPort", "grpcPort")),
        parameters=_list(_fields("name", "type", "value", **_each(_STRING, "name", "type", "value"))),
        **_each(_STRING, "modelUri", "serviceAccountName", "envSecretRefName", "storageInitializerImage"),
        **({"children": _list(_graph(depth - 1))} if depth else {}),
    )  # fmt: skip


_COMPONENT = _fields(
    "spec",
    metadata=METADATA, spec=_POD_SPEC, replicas=_INTEGER, kedaSpec=_OBJECT,
    hpaSpec=_fields("maxReplicas", **_each(_INTEGER, "minReplicas", "maxReplicas"),
                    **_each(_list({}), "metrics", "metricsv2")),
    pdbSpec=_fields(**_each(_EITHER, "minAvailable", "maxUnavailable")),
)  # fmt: skip
_PREDICTOR = _fields(
    "name", "graph",
    name=_STRING, graph=_graph(5), **_each(_INTEGER, "replicas", "traffic", "progressDeadlineSeconds"),
    shadow={"type": "boolean"}, **_each(_TEXTS, "annotations", "labels"),
    svcOrchSpec=_fields(replicas=_INTEGER, resources=_RESOURCES, env=_list(reference("io.k8s.api.core.v1.EnvVar"))),
    engineResources=_RESOURCES, **_each(_OBJECT, "explainer", "ssl"), componentSpecs=_list(_COMPONENT),
)  # fmt: skip
_SELDON = _fields(
    "predictors",
    predictors=_list(_PREDICTOR), annotations=_TEXTS, replicas=_INTEGER,
    **_each(_STRING, "name", "oauth_key", "oauth_secret", "protocol", "transport", "serverType"),
)  # fmt: skip
_CUSTOM = {
    name_of(kind): _fields(**_each(_STRING, "apiVersion", "kind"), metadata=METADATA, spec=spec, status={})
    for kind, spec in ((SELDON, _SELDON), (VIRTUAL_SERVICE, _OBJECT))
}
