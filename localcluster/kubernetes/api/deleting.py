"""Deletion of one object, or of all that a selector leaves."""

from __future__ import annotations

from contextlib import suppress

from localcluster.kubernetes.api import bodies
from localcluster.kubernetes.api.resources import Call
from localcluster.kubernetes.api.writing import check_options
from localcluster.kubernetes.errors import Cause, Invalid, NotFound, Unexplained
from localcluster.kubernetes.state.deletion import Deletion
from localcluster.kubernetes.state.kinds import Object
from localcluster.kubernetes.state.store import Store

_PROPAGATION = ("Foreground", "Background", "Orphan")
_OPTIONS = "DeleteOptions"


def delete_collection(store: Store, call: Call) -> Object:
    """DELETE of all that the selectors leave; answers with what they were."""
    options, kind = _options(call), call.target.kind
    items = list(filter(call.matches, store.all(kind, call.target.namespace)[0]))
    for item in items:
        with suppress(NotFound):
            _delete(store, call, options, item["metadata"]["namespace"], item["metadata"]["name"])
    head = {"kind": f"{kind.name}List", "apiVersion": kind.api_version}
    return head | {"metadata": {"resourceVersion": str(store.version())}, "items": items}


def delete(store: Store, call: Call) -> Object:
    """DELETE of one object."""
    item = _delete(store, call, _options(call), call.target.namespace, call.target.name)
    kind = call.target.kind
    if kind.returned or item["metadata"].get("deletionTimestamp"):
        return item
    details = {"name": call.target.name, "group": kind.group, "kind": kind.plural, "uid": item["metadata"]["uid"]}
    present = {key: value for key, value in details.items() if value}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": present}


def _delete(store: Store, call: Call, options: Object, namespace: str, name: str) -> Object:
    preconditions = options.get("preconditions") or {}
    deletion = Deletion(
        propagation=options.get("propagationPolicy") or call.query.get("propagationPolicy") or "Background",
        grace=options.get("gracePeriodSeconds", call.number("gracePeriodSeconds")),
        uid=preconditions.get("uid", ""),
        version=preconditions.get("resourceVersion", ""),
    )
    dry_run = bool(options.get("dryRun")) if call.body else call.dry_run
    return store.delete(call.target.kind, namespace, name, deletion, dry_run=dry_run)


def _options(call: Call) -> Object:
    check_options(call, _OPTIONS)
    if not call.body:
        return {}
    try:
        options = bodies.parse(call.body)
    except bodies.Unreadable as error:
        raise Unexplained(f"couldn't get version/kind; json parse error: {error}") from error
    if not isinstance(options, dict):
        raise Unexplained(f"couldn't get version/kind; json parse error: {bodies.no_object(options)}")
    name, version = options.get("kind") or _OPTIONS, options.get("apiVersion") or "v1"
    if name != _OPTIONS:
        words = f'no kind "{name}" is registered for version "{version}" in scheme "pkg/runtime/scheme.go:100"'
        raise Unexplained(words)
    policy, path = options.get("propagationPolicy"), "propagationPolicy"
    if policy is not None and options.get("orphanDependents") is not None:
        cause = Cause.invalid(path, policy, "orphanDependents and deletionPropagation cannot be both set")
        raise Invalid(_OPTIONS, "meta.k8s.io", "", [cause])
    if policy not in (None, *_PROPAGATION):
        cause = Cause.unsupported(path, str(policy), *_PROPAGATION, "nil")
        raise Invalid(_OPTIONS, "meta.k8s.io", "", [cause])
    if not isinstance(options.get("gracePeriodSeconds"), int | None):
        raise Unexplained("gracePeriodSeconds of DeleteOptions is not a number")
    return options
