"""The patch formats of `kubectl patch` and `kubectl apply`, as pure functions on JSON values."""

from __future__ import annotations

import copy
import json
from typing import Any

from localcluster.kubernetes.errors import KubernetesError
from localcluster.kubernetes.state.kinds import Object
from localcluster.kubernetes.state.schema import Schema, field

MOST_COPIED = 3 * 1024 * 1024
"""Bytes that the copies of one JSON patch add at most, as upstream's `JSONPatchMaxCopyBytes`."""


class CannotApply(KubernetesError):
    """A patch that does not fit the object."""


class CannotMerge(KubernetesError):
    """A strategic patch that cannot be merged."""


def in_go(value: Any) -> str:
    """A value as Go prints it, e.g. map[data:map[a:1]]."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{in_go(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(in_go, value))}]"
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)


def merge(target: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def strategic(target: Any, patch: Any, schema: Schema) -> Any:
    """Strategic merge patch of the built-in kinds: lists of objects merge by the schema's key for them, `$patch` and
    `$deleteFromPrimitiveList` are honoured, the order hints (`$setElementOrder`) put patched items first."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    if patch.get("$patch", "merge") not in ("merge", "replace", "delete"):
        raise CannotMerge(f"unknown patch type: {patch['$patch']} in map: {in_go(patch)}")
    if patch.get("$patch") == "replace":
        return {key: copy.deepcopy(value) for key, value in patch.items() if key != "$patch"}
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            result[name] = [item for item in result.get(name) or [] if item not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            result.pop(key, None)
        elif isinstance(value, list):
            result[key] = _merge_list(result.get(key) or [], value, field(schema, key) or {})
        else:
            result[key] = strategic(result.get(key), value, field(schema, key) or {})
    return result


def _merge_list(target: list[Any], patch: list[Any], schema: Schema) -> list[Any]:
    if {"$patch": "replace"} in patch:
        return [item for item in patch if item != {"$patch": "replace"}]
    key = schema.get("x-kubernetes-patch-merge-key")
    if key is None and schema.get("x-kubernetes-patch-strategy") == "merge":
        return target + [item for item in patch if item not in target]
    if key is None:
        return copy.deepcopy(patch)
    merged = {item.get(key): item for item in target}
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise CannotMerge(f"map: {in_go(item)} does not contain declared merge key: {key}")
        if item.get("$patch") == "delete":
            merged.pop(item.get(key), None)
        else:
            merged[item.get(key)] = strategic(merged.get(item.get(key)), item, schema["items"])
    return list(merged.values())


def json_patch(target: Object, operations: Any) -> Object:
    """JSON patch (RFC 6902); raises CannotApply naming the operation that cannot be carried out."""
    document: Any = {"": copy.deepcopy(target)}
    copied = 0
    for number, operation in enumerate(operations if isinstance(operations, list) else [operations]):
        try:
            copied += _operate(document, operation)
            if copied > MOST_COPIED:
                raise ValueError(f"the accumulated size increase of copy is {copied}, exceeding {MOST_COPIED}")
        except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
            raise CannotApply(f"patch operation {number} ({operation}): {error}") from error
    result: Object = document[""]
    return result


def _operate(document: Any, operation: Object) -> int:
    """Carry out an operation; how many bytes of JSON it copied."""
    action = operation["op"]
    if action == "test":
        if _lookup(document, operation["path"]) != operation.get("value"):
            raise ValueError("testing value failed")
    elif action == "remove":
        _remove(document, operation["path"])
    elif action in ("add", "replace"):
        if action == "replace":
            _forget(document, operation["path"])
        _add(document, operation["path"], copy.deepcopy(operation.get("value")))
    elif action in ("move", "copy"):
        value = copy.deepcopy(_lookup(document, operation["from"]))
        if action == "move":
            _forget(document, operation["from"])
        _add(document, operation["path"], value)
        return len(json.dumps(value, separators=(",", ":"))) if action == "copy" else 0
    else:
        raise ValueError(f"unknown op {action!r}")
    return 0


def _parent(document: Any, pointer: str) -> tuple[Any, Any]:
    if pointer and not pointer.startswith("/"):
        raise KeyError(pointer)
    *steps, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")]
    for step in steps:
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document, last


def _lookup(document: Any, pointer: str) -> Any:
    """The value at a pointer; nothing for a field that is not there: the API server's library is as lenient."""
    parent, last = _parent(document, pointer)
    return parent.get(last) if isinstance(parent, dict) else parent[int(last)]


def _forget(document: Any, pointer: str) -> None:
    parent, last = _parent(document, pointer)
    if isinstance(parent, dict):
        parent.pop(last, None)
    else:
        del parent[int(last)]


def _remove(document: Any, pointer: str) -> None:
    parent, last = _parent(document, pointer)
    del parent[int(last) if isinstance(parent, list) else last]


def _add(document: Any, pointer: str, value: Any) -> None:
    parent, last = _parent(document, pointer)
    if not isinstance(parent, list):
        parent[last] = value
    elif last == "-":
        parent.append(value)
    elif 0 <= int(last) <= len(parent):
        parent.insert(int(last), value)
    else:
        raise IndexError(f"index {last} is out of range")
