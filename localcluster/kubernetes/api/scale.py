"""`kubectl scale`: the number of replicas of a Deployment or SeldonDeployment, as an object of its own."""

from __future__ import annotations

from typing import Any

from localcluster.kubernetes.api import bodies, writing
from localcluster.kubernetes.api.resources import Call
from localcluster.kubernetes.errors import ApiError, Cause, Invalid, NotFound
from localcluster.kubernetes.state.kinds import Object
from localcluster.kubernetes.state.store import Store

KIND = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
_SHOWN = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def answer(store: Store, call: Call) -> Object:
    """Carry out a GET, PUT or PATCH; raises ApiError."""
    target, kind = call.target, call.target.kind
    item = store.find(kind, target.namespace, target.name)
    if item is None:
        raise NotFound(kind.resource if kind.custom else f"{kind.plural}/scale.{kind.group}", target.name)
    if call.method == "GET":
        if kind.custom and "replicas" not in item["spec"]:
            words = 'the spec replicas field ".spec.replicas" does not exist'
            raise ApiError(f"Internal error occurred: {words}", causes=[{"message": words}])
        return _scale(item)
    if call.method == "PUT":
        new, _ = bodies.read(call.body, call.content_type, "Scale", custom=False)
    else:
        new = writing.applied(call, _scale(item), writing.patch_document(call)[0])
    replicas, version = _wanted(new, target.name), (new.get("metadata") or {}).get("resourceVersion")

    def change(old: Object) -> Object:
        old["spec"]["replicas"] = replicas
        old["metadata"]["resourceVersion"] = version or old["metadata"]["resourceVersion"]
        return old

    return _scale(store.update(kind, target.namespace, target.name, change, dry_run=call.dry_run))


def _scale(item: Object) -> Object:
    metadata = {key: item["metadata"][key] for key in _SHOWN if key in item["metadata"]}
    replicas = item["spec"].get("replicas") or 0
    status: dict[str, Any] = {"replicas": (item.get("status") or {}).get("replicas", 0)}
    if wanted := (item["spec"].get("selector") or {}).get("matchLabels"):
        status["selector"] = ",".join(f"{key}={wanted[key]}" for key in sorted(wanted))
    head = {"kind": KIND["kind"], "apiVersion": f"{KIND['group']}/{KIND['version']}", "metadata": metadata}
    return head | {"spec": {"replicas": replicas} if replicas else {}, "status": status}


def _wanted(scale: Object, name: str) -> int:
    spec = scale.get("spec")
    replicas = (spec.get("replicas") if isinstance(spec, dict) else None) or 0
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        found = bodies.kind_of(replicas)
        fault = f"json: cannot unmarshal {found} into Go struct field ScaleSpec.spec.replicas of type int32"
        raise Invalid("", "", "", [Cause.invalid("patch", writing.in_order(scale), fault)])
    if replicas < 0:
        cause = Cause.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise Invalid(KIND["kind"], KIND["group"], name, [cause])
    return replicas
