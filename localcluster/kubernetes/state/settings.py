"""Rules of ConfigMaps and Secrets."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

from localcluster.kubernetes.errors import Cause
from localcluster.kubernetes.state import names
from localcluster.kubernetes.state.kinds import Object

LIMIT = 1024 * 1024
_IMMUTABLE = "Forbidden: field is immutable when `immutable` is set"
_REDACTED = "<secret contents redacted>"
_REQUIRED = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
_ACCOUNT = "kubernetes.io/service-account.name"


def secret_defaults(item: Object) -> None:
    """The type, and `stringData` moved into `data`."""
    item.setdefault("type", "Opaque")
    for name, value in (item.pop("stringData", None) or {}).items():
        data = item["data"] = item.get("data") or {}
        data[name] = base64.b64encode((value or "").encode()).decode()


def config_map_faults(item: Object, old: Object | None) -> Iterator[Cause]:
    """Everything wrong with a ConfigMap."""
    yield from _frozen(item, old, "data", "binaryData")
    data, binary = item.get("data") or {}, item.get("binaryData") or {}
    for key in data:
        yield from (Cause.invalid(f"data[{key}]", key, fault) for fault in names.config_key(key))
        if key in binary:
            yield Cause.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    for key in binary:
        yield from (Cause.invalid(f"binaryData[{key}]", key, fault) for fault in names.config_key(key))
    size = sum(len((value or "").encode()) for value in data.values()) + sum(map(_decoded_size, binary.values()))
    if size > LIMIT:
        yield Cause("[]", f"Too long: may not be more than {LIMIT} bytes")


def secret_faults(item: Object, old: Object | None) -> Iterator[Cause]:
    """Everything wrong with a Secret."""
    type_, data = item["type"], item.get("data") or {}
    if old and old["type"] != type_:
        yield Cause.invalid("type", type_, "field is immutable")
    yield from _frozen(item, old, "data")
    for key in data:
        yield from (Cause.invalid(f"data[{key}]", key, fault) for fault in names.config_key(key))
    if sum(map(_decoded_size, data.values())) > LIMIT:
        yield Cause("data", f"Too long: may not be more than {LIMIT} bytes")
    for key in _REQUIRED.get(type_, ()):
        if not _has(type_, data, key):
            yield Cause(f"data[{key}]", "Required value")
    if type_ == "kubernetes.io/basic-auth" and not data.keys() & {"username", "password"}:
        yield from (Cause(f"data[{key}]", "Required value") for key in ("username", "password"))
    if type_ == "kubernetes.io/service-account-token" and not (item["metadata"].get("annotations") or {}).get(_ACCOUNT):
        yield Cause(f"metadata.annotations[{_ACCOUNT}]", "Required value")
    for key in (".dockercfg", ".dockerconfigjson"):
        if key in _REQUIRED.get(type_, ()) and key in data and (fault := _not_an_object(base64.b64decode(data[key]))):
            yield Cause.invalid(f"data[{key}]", _REDACTED, fault)


def _frozen(item: Object, old: Object | None, *fields: str) -> Iterator[Cause]:
    if old and old.get("immutable"):
        if not item.get("immutable"):
            yield Cause("immutable", _IMMUTABLE)
        for field in fields:
            if (item.get(field) or {}) != (old.get(field) or {}):
                yield Cause(field, _IMMUTABLE)


def _has(type_: str, data: Object, key: str) -> bool:
    return bool(data.get(key)) if type_ == "kubernetes.io/ssh-auth" else key in data


def _decoded_size(text: str | None) -> int:
    return len(base64.b64decode(text or ""))


def _not_an_object(text: bytes) -> str:
    try:
        found = json.loads(text)
    except ValueError:
        first = text[:1].decode(errors="replace")
        return f"invalid character '{first}' looking for beginning of value" if text else "unexpected end of JSON input"
    return "" if isinstance(found, dict) else "json: cannot unmarshal into Go value of type map[string]interface {}"
