"""What kubectl asks before it does anything: versions, groups, resources, OpenAPI v3."""

from __future__ import annotations

from typing import Any

from localcluster.kubernetes.errors import NotFound
from localcluster.kubernetes.state.kinds import GROUP_VERSIONS, KINDS, POD, Kind
from localcluster.kubernetes.state.schema import openapi, schema_of

VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERSION = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.3+localcluster",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}


def aggregated(*, core: bool) -> dict[str, Any]:
    """`/api` (core) or `/apis`, in the aggregated form that kubectl prefers (the older one is not served)."""
    items = [
        {
            "metadata": {"name": group} if group else {},
            "versions": [
                {"version": version, "freshness": "Current", "resources": [_row(kind) for kind in _kinds(group)]}
            ],
        }
        for group, version in GROUP_VERSIONS
        if (group == "") is core
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def openapi_index() -> dict[str, Any]:
    """`/openapi/v3`."""
    paths = (f"apis/{group}/{version}" if group else f"api/{version}" for group, version in GROUP_VERSIONS)
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash=1"} for path in paths}}


def openapi_document(group: str, version: str) -> dict[str, Any]:
    """The document of one group-version: enough for server-side validation and `kubectl explain`; raises NotFound."""
    if (group, version) not in GROUP_VERSIONS:
        raise NotFound
    paths, schemas = {}, {}
    for kind in _kinds(group):
        identity = {"group": kind.group, "version": kind.version, "kind": kind.name}
        reference = {"$ref": f"#/components/schemas/{kind.name}"}
        schemas[kind.name] = openapi(schema_of(kind.name)) | {"x-kubernetes-group-version-kind": [identity]}
        prefix = f"/apis/{group}/{version}" if group else f"/api/{version}"
        paths[f"{prefix}/{'namespaces/{namespace}/' if kind.namespaced else ''}{kind.plural}/{{name}}"] = {
            "get": {
                "x-kubernetes-group-version-kind": identity,
                "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}},
            },
            "patch": {
                "x-kubernetes-group-version-kind": identity,
                "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
            },
        }
    info = {"title": "Kubernetes", "version": VERSION["gitVersion"]}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _kinds(group: str) -> list[Kind]:
    return [kind for kind in KINDS if kind.group == group]


def _subresources(kind: Kind) -> dict[str, list[str]]:
    status = {"status": ["get", "patch", "update"]} if kind.status else {}
    return status | ({"log": ["get"], "proxy": ["create", "get"]} if kind is POD else {})


def _row(kind: Kind) -> dict[str, Any]:
    response = {"group": kind.group, "version": kind.version, "kind": kind.name}
    return {
        "resource": kind.plural,
        "singularResource": kind.name.lower(),
        "shortNames": list(kind.short),
        "categories": list(kind.categories),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "responseKind": response,
        "verbs": VERBS,
        "subresources": [
            {"subresource": name, "responseKind": response, "verbs": verbs}
            for name, verbs in _subresources(kind).items()
        ],
    }
