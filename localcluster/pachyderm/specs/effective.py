"""A user's specification merged into the cluster's defaults, which is what upstream stores, shows and judges."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from betterproto import serialized_on_wire
from pachyderm_sdk.api import pps

from localcluster.pachyderm.errors import BadSpec, PachdError
from localcluster.pachyderm.names import DEFAULT_PROJECT
from localcluster.pachyderm.specs.schema import SHOWN, canonical

EVERY_JOB = "every_job"
_RESOURCES = {"cpu": 1, "memory": "256Mi", "disk": "1Gi"}

DEFAULTS: dict[str, Any] = {
    "transform": {"image": "ubuntu:20.04"},
    "outputBranch": "master",
    "datumTries": "3",
    "reprocessSpec": "until_success",
    "resourceRequests": _RESOURCES,
    "sidecarResourceRequests": _RESOURCES,
}
"""The defaults of a cluster that nobody changed, into which every specification is merged."""


def effective(document: object) -> dict[str, Any]:
    """A user's specification merged into the defaults, with canonical names.  Raises BadSpec with the path at fault."""
    return _merge(DEFAULTS, canonical(pps.CreatePipelineRequest, document))


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def effective_json(document: object) -> str:
    """As `effective`, the way upstream writes it."""
    return json.dumps(effective(document), sort_keys=True, separators=(",", ":"))


def message(document: object) -> pps.CreatePipelineRequest:
    """The effective specification as a message.  Raises BadSpec, and PachdError where it names no pipeline."""
    request: pps.CreatePipelineRequest = pps.CreatePipelineRequest().from_dict(effective(document))
    if fault := _fault(request):
        raise BadSpec(f"invalid effective spec {effective_json(document)[:SHOWN]}: {fault}")
    if not serialized_on_wire(request.pipeline):
        raise PachdError("request.Pipeline cannot be nil")
    request.pipeline.project.name = request.pipeline.project.name or DEFAULT_PROJECT
    return request


def _fault(request: pps.CreatePipelineRequest) -> str:
    """What upstream refuses in a specification by itself (`staticallyValidate` in its defaults.go), or nothing."""
    if serialized_on_wire(request.tf_job):
        return "embedding TFJobs in pipelines is not supported yet"
    if request.reprocess_spec not in ("", "until_success", EVERY_JOB):
        return 'invalid pipeline spec: ReprocessSpec must be one of "until_success" or "every_job"'
    for at, toleration in enumerate(request.tolerations, 1):
        if toleration.operator == pps.TolerationOperator.EMPTY:
            missing = "cannot omit key/value comparison operator; specify EQUAL or EXISTS"
            return f"toleration {at}/{len(request.tolerations)}: {missing}"
    for name, text in (("PodSpec", request.pod_spec), ("PodPatch", request.pod_patch)):
        if text and not _is_json(text):
            return f"malformed {name}"
    return ""


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
