"""create, read, update, patch, delete on any served resource: HTTP in, calls of the store, JSON out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from localcluster.kubernetes.api import protobuf
from localcluster.kubernetes.api.tables import table
from localcluster.kubernetes.errors import BadRequest, NotFound, NotServed, UnsupportedMediaType
from localcluster.kubernetes.state import patches
from localcluster.kubernetes.state.kinds import BY_RESOURCE, Kind, Object
from localcluster.kubernetes.state.selectors import Predicate, selector
from localcluster.kubernetes.state.store import Store
from localcluster.kubernetes.state.validation import prune, refuse_unknown, unknown_fields

_PATCHES: dict[str, Callable[[Any, Any], Any]] = {
    "application/merge-patch+json": patches.merge,
    "application/strategic-merge-patch+json": patches.strategic,
    "application/json-patch+json": patches.json_patch,
}


@dataclass(frozen=True)
class Target:
    """What a path names."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@dataclass
class Call:
    """One request, free of HTTP's machinery; `warnings` becomes the answer's Warning headers."""

    method: str
    target: Target
    query: dict[str, str]
    content_type: str
    accept: str
    body: bytes
    warnings: list[str] = field(default_factory=list)

    @property
    def as_table(self) -> bool:
        """Whether the client prefers a rendered table."""
        return "as=Table" in self.accept.partition(",")[0]

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be stored."""
        return bool(self.query.get("dryRun"))

    @property
    def matches(self) -> Predicate:
        """The label and field selectors."""
        return selector(self.query.get("labelSelector", ""), self.query.get("fieldSelector", ""))


def parse_path(group: str, version: str, path: str) -> Target:
    """Read the part of a URL after the group and version; raises NotFound."""
    parts = [part for part in path.split("/") if part]
    if len(parts) >= 3 and parts[0] == "namespaces" and (group, version, parts[2]) in BY_RESOURCE:
        kind = BY_RESOURCE[group, version, parts[2]]
        if kind.namespaced and len(parts) <= 5:
            return Target(kind, parts[1], *parts[3:])
    found = BY_RESOURCE.get((group, version, parts[0])) if parts else None
    if found is None or (found.namespaced and len(parts) > 1) or (len(parts) > 2 and parts[2:] != ["status"]):
        raise NotFound
    return Target(found, "", *parts[1:])


def answer(store: Store, call: Call) -> tuple[int, Object]:
    """Carry out everything but watches and logs; returns status and body, raises ApiError."""
    target = call.target
    if target.subresource not in ("", "status") or (target.subresource == "status" and not target.kind.status):
        raise NotServed(f"{target.kind.plural}/{target.subresource}")
    if call.method == "GET":
        return 200, _one(store, call) if target.name else _list(store, call)
    if call.method == "POST" and not target.name:
        return 201, _create(store, call)
    if call.method == "PUT" and target.name:
        return 200, _replace(store, call)
    if call.method == "PATCH" and target.name:
        return 200, _patch(store, call)
    if call.method == "DELETE" and target.name and not target.subresource:
        return 200, _delete(store, call)
    raise NotServed(f"{call.method} of {target.kind.plural}")


def _one(store: Store, call: Call) -> Object:
    item = store.get(call.target.kind, call.target.namespace, call.target.name)
    return table(call.target.kind, [item], item["metadata"]["resourceVersion"]) if call.as_table else item


def _list(store: Store, call: Call) -> Object:
    kind = call.target.kind
    items, version = store.all(kind, call.target.namespace)
    items = list(filter(call.matches, items))
    if call.as_table:
        return table(kind, items, version)
    head = {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": {"resourceVersion": str(version)}}
    return head | {"items": items}


def _create(store: Store, call: Call) -> Object:
    item = _read(call)
    _screen(call, item)
    return store.create(call.target.kind, item, dry_run=call.dry_run)


def _replace(store: Store, call: Call) -> Object:
    item = _read(call)
    _screen(call, item)
    return _update(store, call, lambda _: item)


def _patch(store: Store, call: Call) -> Object:
    apply = _PATCHES.get(call.content_type)
    if call.content_type == "application/apply-patch+yaml":
        raise UnsupportedMediaType(
            "server-side apply is not served by the local cluster; use kubectl apply without --server-side"
        )
    custom = "." in call.target.kind.group and not call.target.kind.group.endswith("k8s.io")
    if apply is None or (apply is patches.strategic and custom):
        supported = "application/json-patch+json, application/merge-patch+json"
        raise UnsupportedMediaType(
            f"the body of the request was in an unknown format - accepted media types include: {supported}"
        )
    document = _json(call.body)

    def change(old: Object) -> Object:
        new: Object = apply(old, document)
        if not isinstance(new, dict) or not isinstance(new.get("metadata"), dict):
            raise BadRequest("the patch does not lead to an object")
        _screen(call, new)
        return new

    return _update(store, call, change)


def _update(store: Store, call: Call, change: Callable[[Object], Object]) -> Object:
    target = call.target
    status = target.subresource == "status"
    return store.update(target.kind, target.namespace, target.name, change, status=status, dry_run=call.dry_run)


def _delete(store: Store, call: Call) -> Object:
    options = _json(call.body) if call.body else {}
    grace = options.get("gracePeriodSeconds", call.query.get("gracePeriodSeconds"))
    item = store.delete(
        call.target.kind,
        call.target.namespace,
        call.target.name,
        propagation=options.get("propagationPolicy") or call.query.get("propagationPolicy") or "Background",
        grace=None if grace is None else int(grace),
        uid=(options.get("preconditions") or {}).get("uid", ""),
        dry_run=call.dry_run or bool(options.get("dryRun")),
    )
    if item["metadata"].get("deletionTimestamp"):
        return item
    kind = call.target.kind
    details = {"name": call.target.name, "group": kind.group, "kind": kind.plural, "uid": item["metadata"]["uid"]}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _read(call: Call) -> Object:
    item = protobuf.decode(call.body) if call.content_type == protobuf.MEDIA_TYPE else _json(call.body)
    target = call.target
    if not isinstance(item, dict):
        raise BadRequest("the body of the request is not an object")
    if item.get("kind", target.kind.name) != target.kind.name or item.get("apiVersion") not in (
        None,
        target.kind.api_version,
    ):
        raise BadRequest(
            f"the API version in the data ({item.get('apiVersion')}, kind {item.get('kind')}) does not match the "
            f"expected API version ({target.kind.api_version}, kind {target.kind.name})"
        )
    metadata = item.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        raise BadRequest("metadata is not an object")
    if target.kind.namespaced:
        if metadata.setdefault("namespace", target.namespace) != target.namespace:
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    else:
        metadata.pop("namespace", None)
    if target.name and metadata.setdefault("name", target.name) != target.name:
        raise BadRequest(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({target.name})"
        )
    return item


def _screen(call: Call, item: Object) -> None:
    """Unknown fields: refused, reported or dropped, as the request's fieldValidation asks."""
    item["metadata"].pop("managedFields", None)
    unknown = unknown_fields(call.target.kind, item)
    mode = call.query.get("fieldValidation") or "Warn"
    if mode == "Strict":
        refuse_unknown(call.target.kind, unknown)
    if mode == "Warn":
        call.warnings += [f'unknown field "{path}"' for path in unknown]
    prune(call.target.kind, item)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise BadRequest(f"the body of the request is not JSON: {error}") from error
