"""The patch formats of `kubectl patch` and `kubectl apply`, as pure functions on JSON values."""

from __future__ import annotations

import copy
from typing import Any

from localcluster.kubernetes.errors import BadRequest
from localcluster.kubernetes.state.kinds import Object

_MERGE_KEYS = {
    "containers": "name", "initContainers": "name", "env": "name", "volumes": "name", "imagePullSecrets": "name",
    "volumeMounts": "mountPath", "ownerReferences": "uid", "conditions": "type", "hostAliases": "ip",
}  # fmt: skip


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


def strategic(target: Any, patch: Any) -> Any:
    """Strategic merge patch of the built-in kinds: lists of objects merge by their key, `$patch` and
    `$deleteFromPrimitiveList` are honoured, the order hints (`$setElementOrder`) put patched items first."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    if patch.get("$patch") == "replace":
        return {key: copy.deepcopy(value) for key, value in patch.items() if key != "$patch"}
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            field = key.partition("/")[2]
            result[field] = [item for item in result.get(field) or [] if item not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            result.pop(key, None)
        elif isinstance(value, list):
            result[key] = _merge_list(key, result.get(key) or [], value)
        else:
            result[key] = strategic(result.get(key), value)
    return result


def _merge_list(field: str, target: list[Any], patch: list[Any]) -> list[Any]:
    if {"$patch": "replace"} in patch:
        return [item for item in patch if item != {"$patch": "replace"}]
    if field == "finalizers":
        return target + [item for item in patch if item not in target]
    key = _MERGE_KEYS.get(field)
    if field == "ports":
        key = "containerPort" if any("containerPort" in item for item in target + patch) else "port"
    if key is None:
        return copy.deepcopy(patch)
    merged = {item.get(key): item for item in target}
    for item in patch:
        if item.get("$patch") == "delete":
            merged.pop(item.get(key), None)
        else:
            merged[item.get(key)] = strategic(merged.get(item.get(key)), item)
    return list(merged.values())


def json_patch(target: Object, operations: Any) -> Object:
    """JSON patch (RFC 6902); raises BadRequest naming the operation that cannot be carried out."""
    document: Any = {"": copy.deepcopy(target)}
    for number, operation in enumerate(operations if isinstance(operations, list) else [operations]):
        try:
            _operate(document, operation)
        except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
            raise BadRequest(
                f"the server rejected our request: patch operation {number} ({operation}): {error}"
            ) from error
    result: Object = document[""]
    return result


def _operate(document: Any, operation: Object) -> None:
    action = operation["op"]
    if action == "test":
        if _read(document, operation["path"]) != operation["value"]:
            raise ValueError("testing value failed")
    elif action == "remove":
        _remove(document, operation["path"])
    elif action in ("add", "replace"):
        if action == "replace":
            _remove(document, operation["path"])
        _add(document, operation["path"], copy.deepcopy(operation["value"]))
    elif action in ("move", "copy"):
        value = copy.deepcopy(_read(document, operation["from"]))
        if action == "move":
            _remove(document, operation["from"])
        _add(document, operation["path"], value)
    else:
        raise ValueError(f"unknown op {action!r}")


def _parent(document: Any, pointer: str) -> tuple[Any, Any]:
    *steps, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")]
    for step in steps:
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document, last


def _read(document: Any, pointer: str) -> Any:
    parent, last = _parent(document, pointer)
    return parent[int(last)] if isinstance(parent, list) else parent[last]


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
