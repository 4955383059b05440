"""What kubectl asks before it does anything: versions, groups, resources, OpenAPI v3."""

from __future__ import annotations

from functools import cache
from typing import Any

from localcluster.kubernetes.api import scale
from localcluster.kubernetes.errors import NotFound
from localcluster.kubernetes.state.kinds import GROUP_VERSIONS, KINDS, POD, Kind
from localcluster.kubernetes.state.schema import name_of, reached_from, schema_of

VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
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
OPENAPI_V2 = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
EMPTY_OPENAPI_V2 = b"\x0a\x032.0\x42\x00\x4a\x00"
"""The version of the specification, no paths, no definitions."""
PATHS = ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]
"""What `/` lists."""


def aggregated(*, core: bool) -> dict[str, Any]:
    """`/api` (core) or `/apis`, in the aggregated form that kubectl prefers; `versions`, `groups`: the older one."""
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


def built_in(path: str) -> bool:
    """Whether a path lies in a group of Kubernetes' own, where a resource that is not there has a Status."""
    return path.startswith("/api/") or any(
        path.startswith(f"/apis/{group}/") for group, _ in GROUP_VERSIONS if group and "." not in group
    )


def versions() -> dict[str, Any]:
    """`/api`, as it was before, and as the Python client's DynamicClient asks for it."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def groups() -> dict[str, Any]:
    """`/apis`, in the same form."""
    found = [_group(name, version) for name, version in GROUP_VERSIONS if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}


def group(name: str) -> dict[str, Any]:
    """`/apis/<group>`; raises NotFound."""
    for each, version in GROUP_VERSIONS:
        if name and each == name:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, version)}
    raise NotFound


def resources(group: str, version: str) -> dict[str, Any]:
    """`/api/v1` or `/apis/<group>/<version>`; raises NotFound."""
    if (group, version) not in GROUP_VERSIONS:
        raise NotFound
    found = []
    for kind in _kinds(group):
        row = {"name": kind.plural, "singularName": kind.name.lower(), "namespaced": kind.namespaced}
        row |= {"kind": kind.name, "verbs": _verbs(kind)}
        row |= {
            key: list(names) for key, names in (("shortNames", kind.short), ("categories", kind.categories)) if names
        }
        found.append(row)
        for name, verbs in _subresources(kind).items():
            within = {"name": f"{kind.plural}/{name}", "singularName": "", "namespaced": kind.namespaced}
            answered = scale.KIND if name == "scale" else {"kind": kind.name}
            found.append(within | answered | {"verbs": verbs})
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": found}


def openapi_index() -> dict[str, Any]:
    """`/openapi/v3`."""
    paths = (f"apis/{group}/{version}" if group else f"api/{version}" for group, version in GROUP_VERSIONS)
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash=1"} for path in paths}}


@cache
def openapi_document(group: str, version: str) -> dict[str, Any]:
    """The document of one group-version: enough for server-side validation and `kubectl explain`; raises NotFound."""
    if (group, version) not in GROUP_VERSIONS:
        raise NotFound
    paths, schemas = {}, reached_from(map(name_of, _kinds(group)))
    for kind in _kinds(group):
        identity, reference = {"group": kind.group, "version": kind.version, "kind": kind.name}, schema_of(kind)
        schemas[name_of(kind)] = schemas[name_of(kind)] | {"x-kubernetes-group-version-kind": [identity]}
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


def _group(name: str, version: str) -> dict[str, Any]:
    served = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [served], "preferredVersion": served}


def _kinds(group: str) -> list[Kind]:
    return [kind for kind in KINDS if kind.group == group]


def _verbs(kind: Kind) -> list[str]:
    return [verb for verb in VERBS if verb != "deletecollection" or kind.namespaced]


def _subresources(kind: Kind) -> dict[str, list[str]]:
    writable = ["get", "patch", "update"]
    status = {"status": writable} if kind.status else {}
    status |= {"scale": writable} if kind.scale else {}
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
        "verbs": _verbs(kind),
        "subresources": [
            {"subresource": name, "responseKind": scale.KIND if name == "scale" else response, "verbs": verbs}
            for name, verbs in _subresources(kind).items()
        ],
    }
