"""create, replace and patch: bodies in, calls of the store, the stored object out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from localcluster.kubernetes.api import bodies
from localcluster.kubernetes.api.resources import Call
from localcluster.kubernetes.errors import (
    BadRequest,
    Cause,
    Invalid,
    Rejected,
    TooLarge,
    Unexplained,
    Unread,
    UnsupportedMediaType,
)
from localcluster.kubernetes.state import decoder, patches
from localcluster.kubernetes.state.kinds import KINDS, Kind, Object
from localcluster.kubernetes.state.schema import schema_of
from localcluster.kubernetes.state.store import Store
from localcluster.kubernetes.state.validation import prune, unknown_fields

_JSON_PATCH = "application/json-patch+json"
_MERGE = "application/merge-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
_APPLY = "application/apply-patch+yaml"
_OPERATIONS = 10_000
_VALIDATION = ("Ignore", "Strict", "Warn")
_METADATA_ORDER = ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "labels")
_MANAGER_LENGTH = 128


def create(store: Store, call: Call) -> Object:
    """POST."""
    check_options(call, "CreateOptions")
    item = _read(call)
    return store.create(call.target.kind, item, dry_run=call.dry_run)


def replace(store: Store, call: Call) -> Object:
    """PUT."""
    check_options(call, "UpdateOptions")
    item = _read(call)
    kind = call.target.kind
    if kind.custom and not item["metadata"].get("resourceVersion"):
        store.get(kind, call.target.namespace, call.target.name)
        words = "Invalid value: 0x0: must be specified for an update"
        raise Invalid(kind.plural, kind.group, call.target.name, [Cause("metadata.resourceVersion", words)])
    return _update(store, call, lambda _: item)


def patch(store: Store, call: Call) -> Object:
    """PATCH, in one of the formats that kubectl sends."""
    document, repeated = patch_document(call)
    check_options(call, "PatchOptions")

    def change(old: Object) -> Object:
        new = applied(call, old, document)
        if not isinstance(new.get("metadata"), dict):
            new["metadata"] = {}
        return _patched(call, new, document, repeated)

    return _update(store, call, change)


def applied(call: Call, old: Object, document: Any) -> Object:
    """What a patch makes of an object; raises Rejected or Unexplained where it does not fit."""
    try:
        if call.content_type == _STRATEGIC:
            new: Object = patches.strategic(old, document, schema_of(call.target.kind))
        else:
            new = (patches.json_patch if call.content_type == _JSON_PATCH else patches.merge)(old, document)
    except patches.CannotApply as error:
        raise Rejected from error
    except patches.CannotMerge as error:
        raise Unexplained(str(error)) from error
    if not isinstance(new, dict):
        raise Rejected
    return new


def _update(store: Store, call: Call, change: Callable[[Object], Object]) -> Object:
    target = call.target
    status = target.subresource == "status"
    return store.update(target.kind, target.namespace, target.name, change, status=status, dry_run=call.dry_run)


def _read(call: Call) -> Object:
    """The object in the body, checked against the path."""
    target, kind = call.target, call.target.kind
    item, repeated = bodies.read(call.body, call.content_type, kind.name, custom=kind.custom)
    _check_type(call, item)
    if fault := decoder.first_fault(kind, item):
        words = f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: {fault.decoding}'
        raise BadRequest(words)
    item = decoder.without_nulls(kind, item)
    metadata = item["metadata"] = item.get("metadata") or {}
    _screen(call, item, repeated)
    if kind.namespaced:
        if (metadata.get("namespace") or target.namespace) != target.namespace:
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
        metadata["namespace"] = target.namespace
    else:
        metadata.pop("namespace", None)
    if target.name:
        _check_name(metadata, target.name)
    result: Object = item
    return result


def _check_type(call: Call, item: Object) -> None:
    """Refuse another kind's object, or another version's."""
    kind = call.target.kind
    if kind.custom:
        _check_custom_type(call, item)
        return
    name, version = item.get("kind") or kind.name, item.get("apiVersion") or kind.api_version
    if (name, version) != (kind.name, kind.api_version):
        short = str(version).rpartition("/")[2]
        words = _other_type(kind, name, version)
        raise BadRequest(f'{name} in version "{short}" cannot be handled as a {kind.name}: {words}')


def _check_custom_type(call: Call, item: Object) -> None:
    kind, name, version = call.target.kind, item.get("kind"), item.get("apiVersion") or ""
    if not name:
        shown = call.body.decode(errors="replace")
        words = f"Object 'Kind' is missing in '{shown}' ({bodies.summary(call.body)})"
        raise BadRequest(f"the object provided is unrecognized (must be of type {kind.name}): {words}")
    if version != kind.api_version:
        raise BadRequest(
            f"the API version in the data ({version}) does not match the expected API version ({kind.api_version})"
        )
    if name != kind.name:
        cause = Cause.invalid("kind", name, f"must be {kind.name}")
        raise Invalid(str(name), kind.group, (item.get("metadata") or {}).get("name", ""), [cause])


def _other_type(kind: Kind, name: object, version: object) -> str:
    """Why an object of one type is none of another."""
    if any((each.name, each.api_version) == (name, version) for each in KINDS if not each.custom):
        return f"converting (v1.{name}) to ({kind.group or 'core'}.{kind.name}): unknown conversion"
    return f'no kind "{name}" is registered for version "{version}" in scheme "pkg/runtime/scheme.go:100"'


def _check_name(metadata: Object, name: str) -> None:
    given = metadata.get("name")
    if not given:
        raise BadRequest(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")
    if given != name:
        raise BadRequest(f"the name of the object ({given}) does not match the name on the URL ({name})")


def _screen(call: Call, item: Object, repeated: list[str]) -> None:
    """Unknown and repeated fields: refused, reported or dropped, as the request's fieldValidation asks."""
    kind = call.target.kind
    faults = [f'unknown field "{path}"' for path in unknown_fields(kind, item)]
    faults = [f'duplicate field "{path}"' for path in repeated] + faults
    mode = call.query.get("fieldValidation") or "Warn"
    if mode == "Strict" and faults:
        words = ", ".join(faults)
        raise BadRequest(
            f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: '
            f"strict decoding error: {words}"
        )
    if mode == "Warn":
        call.warnings += faults
    prune(kind, item)
    item["metadata"].pop("managedFields", None)


def _check_media_type(call: Call) -> None:
    kind = call.target.kind
    served = (_JSON_PATCH, _MERGE, *(() if kind.custom else (_STRATEGIC,)))
    if call.content_type == _APPLY and not call.query.get("fieldManager"):
        cause = Cause("fieldManager", "Required value: is required for apply patch")
        raise Invalid("PatchOptions", "meta.k8s.io", "", [cause])
    if call.content_type == _APPLY:
        raise UnsupportedMediaType(
            "server-side apply is not served by the local cluster; use kubectl apply without --server-side"
        )
    if call.content_type not in served and kind.custom:
        raise UnsupportedMediaType.of((*served, _APPLY))
    if call.content_type not in served:
        raise Unread


def patch_document(call: Call) -> tuple[Any, list[str]]:
    """The patch in the body, and the fields that it gives twice; raises UnsupportedMediaType, BadRequest, TooLarge."""
    _check_media_type(call)
    is_list = call.content_type == _JSON_PATCH
    prefix = "" if call.content_type == _STRATEGIC else "error decoding patch: "
    try:
        document = bodies.parse(call.body)
        wanted = "[]handlers.jsonPatchOp" if is_list else "map[string]interface {}"
        if not isinstance(document, list if is_list else dict | None):
            raise bodies.Unreadable(f"json: cannot unmarshal {bodies.kind_of(document)} into Go value of type {wanted}")
    except bodies.Unreadable as error:
        raise BadRequest(f"{prefix}{error}") from error
    if is_list and len(document) > _OPERATIONS:
        raise TooLarge(
            "Request entity too large: The allowed maximum operations in a JSON patch is "
            f"{_OPERATIONS}, got {len(document)}"
        )
    if document is None:
        raise BadRequest("Invalid JSON Patch")
    return document, list(bodies.repeated(document))


def _patched(call: Call, new: Object, document: Any, repeated: list[str]) -> Object:
    """What a patch has led to, checked as the path demands."""
    kind = call.target.kind
    merging = call.content_type == _STRATEGIC
    found = decoder.first_fault(kind, new)
    fault = (found.merging if merging else found.decoding) if found else ""
    if not fault and (new.get("kind"), new.get("apiVersion")) != (kind.name, kind.api_version) and not merging:
        fault = _other_type(kind, new.get("kind"), new.get("apiVersion"))
    if not fault and call.query.get("fieldValidation") == "Strict":
        doubtful = [f'duplicate field "{path}"' for path in repeated]
        doubtful += [f'unknown field "{path}"' for path in unknown_fields(kind, new)]
        fault = f"strict decoding error: {', '.join(doubtful)}" if doubtful else ""
    if fault:
        shown = patches.in_go(document) if merging else in_order(new)
        raise Invalid("", "", "", [Cause.invalid("patch", shown, fault)])
    new = decoder.without_nulls(kind, new)
    metadata = new["metadata"]
    if kind.namespaced and metadata.get("namespace", call.target.namespace) != call.target.namespace:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    _check_name(metadata, call.target.name)
    _screen(call, new, repeated)
    return new


def check_options(call: Call, options: str) -> None:
    """Refuse what a write's options cannot be; `options` is their kind."""
    causes = []
    mode, manager = call.query.get("fieldValidation", ""), call.query.get("fieldManager", "")
    if call.query.get("dryRun", "All") != "All":
        text = f'Unsupported value: []string{{"{call.query["dryRun"]}"}}: supported values: "All"'
        causes.append(Cause("dryRun", text))
    if len(manager) > _MANAGER_LENGTH:
        causes.append(Cause("fieldManager", f"Too long: may not be more than {_MANAGER_LENGTH} bytes"))
    if mode and mode not in _VALIDATION:
        causes.append(Cause.unsupported("fieldValidation", mode, "", *_VALIDATION))
    if causes:
        raise Invalid(options, "meta.k8s.io", "", causes)


def in_order(item: Object) -> str:
    """As the server writes an object between decoding it and decoding it again."""
    metadata = {key: item["metadata"][key] for key in _METADATA_ORDER if key in item["metadata"]} | item["metadata"]
    ordered = json.loads(json.dumps(item, sort_keys=True)) | {"metadata": metadata}
    return json.dumps(ordered, separators=(",", ":"), ensure_ascii=False)
