"""get and list: one object, a page of a collection, or either as the table that kubectl prints."""

from __future__ import annotations

import base64
import json
from typing import Any

from localcluster.kubernetes.api import bodies
from localcluster.kubernetes.api.resources import Call
from localcluster.kubernetes.api.tables import table
from localcluster.kubernetes.errors import BadRequest, Cause, Invalid, TooNew, Unexplained
from localcluster.kubernetes.state.kinds import Object
from localcluster.kubernetes.state.store import Store

_MATCHES = ("Exact", "NotOlderThan")
_META = "meta.k8s.io/v1"
_METADATA = {"kind": "PartialObjectMetadata", "apiVersion": _META}


def one(store: Store, call: Call) -> Object:
    """The object that the path names; raises NotFound."""
    kind = call.target.kind
    check_version(store, call)
    item = store.get(kind, call.target.namespace, call.target.name)
    if call.as_metadata:
        return _METADATA | {"metadata": item["metadata"]}
    return table(kind, [item], item["metadata"]["resourceVersion"]) if call.as_table else item


def listed(store: Store, call: Call) -> Object:
    """The collection that the path names, or the page of it that `limit` and `continue` ask for."""
    kind = call.target.kind
    _check_options(call)
    start, version = _continued(call)
    check_version(store, call)
    items, now = store.all(kind, call.target.namespace)
    items = [item for item in filter(call.matches, items) if _key(call, item) > start]
    page, more = _page(call, items, version or now)
    metadata = {"resourceVersion": str(version or now)} | more
    if call.as_table:
        shown = table(kind, page, version or now)
        return shown | {"metadata": metadata}
    if call.as_metadata:
        found = [{"metadata": item["metadata"]} for item in page]
        return _METADATA | {"kind": "PartialObjectMetadataList", "metadata": metadata, "items": found}
    if not kind.custom:
        page = [{name: value for name, value in item.items() if name not in kind.reference} for item in page]
    return {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": metadata, "items": page}


def check_version(store: Store, call: Call) -> None:
    """Refuse a resourceVersion that is no number, or one that is still to come."""
    text = given_version(call)
    if text and int(text) > store.version():
        raise TooNew(int(text), store.version())


def given_version(call: Call) -> str:
    """The resourceVersion that a request names, if any; refused where it is no number."""
    text = call.query.get("resourceVersion", "")
    if not text.isdecimal() and text:
        fault = Cause.invalid("resourceVersion", text, f'strconv.ParseUint: parsing "{text}": invalid syntax')
        raise Unexplained(str(fault))
    return text


def check_watch(call: Call) -> None:
    """Refuse options that a watch cannot have."""
    match, path = call.query.get("resourceVersionMatch", ""), "resourceVersionMatch"
    initial = "sendInitialEvents" in call.query
    causes = []
    if initial and match != "NotOlderThan":
        causes.append(f"Forbidden: sendInitialEvents requires setting {path} to NotOlderThan")
    if match and not initial:
        causes.append(f"Forbidden: {path} is forbidden for watch unless sendInitialEvents is provided")
    if match and match != "NotOlderThan":
        causes.append(Cause.unsupported(path, match, "NotOlderThan").message)
    if causes:
        raise Invalid("ListOptions", "meta.k8s.io", "", [Cause(path, text) for text in causes])


def _check_options(call: Call) -> None:
    match = call.query.get("resourceVersionMatch", "")
    path, causes = "resourceVersionMatch", []
    version = call.query.get("resourceVersion", "")
    if match and not version:
        causes.append(f"Forbidden: {path} is forbidden unless resourceVersion is provided")
    if match and call.query.get("continue"):
        causes.append(f"Forbidden: {path} is forbidden when continue is provided")
    if match and match not in _MATCHES:
        causes.append(Cause.unsupported(path, match, *_MATCHES, "").message)
    if match == "Exact" and version == "0":
        causes.append(f'Forbidden: {path} "exact" is forbidden for resourceVersion "0"')
    if causes:
        raise Invalid("ListOptions", "meta.k8s.io", "", [Cause(path, text) for text in causes])


def _continued(call: Call) -> tuple[str, int]:
    """Where the page before ended and what version it was of; empty and 0 for a first page."""
    token = call.query.get("continue", "")
    if not token:
        return "", 0
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        content: dict[str, Any] = bodies.parse(text.decode("latin-1").encode())
        start, version = str(content["start"]), int(content["rv"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadRequest(f"invalid continue token: continue key is not valid: {error}") from error
    if call.query.get("resourceVersion", "") not in ("", "0"):
        raise BadRequest("specifying resource version is not allowed when using continue")
    return start, version


def _page(call: Call, items: list[Object], version: int) -> tuple[list[Object], dict[str, Any]]:
    """The items of this page, and what the list's metadata says about those that are left."""
    limit = call.number("limit") or 0
    if limit <= 0 or len(items) <= limit:
        return items, {}
    token = json.dumps({"v": _META, "rv": version, "start": _key(call, items[limit - 1])})
    more: dict[str, Any] = {"continue": base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")}
    if not call.query.get("labelSelector") and not call.query.get("fieldSelector"):
        more["remainingItemCount"] = len(items) - limit
    return items[:limit], more


def _key(call: Call, item: Object) -> str:
    metadata = item["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if call.target.kind.namespaced else str(metadata["name"])
