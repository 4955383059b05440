"""The SeldonDeployment in each phase of a release: beside the live version, a candidate as shadow or canary.

The live predictor stays word for word what the cluster has, so that a release never restarts it.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from deploy.release.errors import DeployError, ReleaseError
from deploy.release.manifest import MAIN_PREDICTOR, NAME, Manifest, container_of, predictor_of

CANDIDATE = "candidate"

FEEDBACK = "FEEDBACK_SPOOL"
"""Where the wrapper stores feedback; without it, feedback only counts."""
_KUBECTLS_OWN = "kubectl.kubernetes.io/last-applied-configuration"
_FIELDS = {
    "model_version": "model-version",
    "checkpoint_uuid": "checkpoint",
    "data_commit": "data-commit",
    "revision": "git-commit",
}


class Place(StrEnum):
    """Where an image stands on the cluster."""

    ABSENT = "absent"
    SHADOW = "a shadow"
    CANARY = "a canary"
    MAIN = "the main predictor"


def alone(live: Mapping[str, Any]) -> Manifest:
    """The live version without a candidate.  Raises DeployError where there is no main predictor."""
    return _arranged(live, [{**main_of(live), "traffic": 100}])


def shadow(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> Manifest:
    """The live version answers; the candidate gets a copy of every request, and its answers are thrown away.

    Corrections are requests, too: a shadow that stored its copies would teach the next training each of them twice.
    """
    candidate = _candidate(wanted)
    model = container_of(candidate)
    model["env"] = [variable for variable in model.get("env") or [] if variable["name"] != FEEDBACK]
    return _arranged(live, [{**main_of(live), "traffic": 100}, {**candidate, "shadow": True, "traffic": 100}])


def canary(live: Mapping[str, Any], wanted: Mapping[str, Any], weight: int) -> Manifest:
    """The candidate answers `weight` percent of the requests."""
    main, other = {**main_of(live), "traffic": 100 - weight}, {**_candidate(wanted), "traffic": weight}
    return _arranged(live, [main, other])


def main_of(seldon: Mapping[str, Any]) -> Manifest:
    """The main predictor.  Raises DeployError where there is none."""
    try:
        return predictor_of(seldon, MAIN_PREDICTOR)
    except StopIteration:
        raise DeployError(f"{NAME} has no predictor {MAIN_PREDICTOR}; run make deploy to put that right") from None


def unfinished(seldon: Mapping[str, Any]) -> bool:
    """Whether a release has left a candidate."""
    return any(each["name"] != MAIN_PREDICTOR for each in seldon["spec"]["predictors"])


def place_of(seldon: Mapping[str, Any] | None, reference: str) -> Place:
    """Where the image with this reference stands; the main place counts before one beside it."""
    standing = {each["name"]: each for each in seldon["spec"]["predictors"]} if seldon else {}
    mine = [name for name, each in standing.items() if container_of(each)["image"] == reference]
    if not mine:
        return Place.ABSENT
    if MAIN_PREDICTOR in mine:
        return Place.MAIN
    return Place.SHADOW if standing[mine[0]].get("shadow") else Place.CANARY


def image_of(seldon: Mapping[str, Any]) -> dict[str, Any]:
    """The live image, as its labels and its reference tell.  Raises DeployError where there is no main predictor."""
    main = main_of(seldon)
    labels, reference = main.get("labels") or {}, str(container_of(main)["image"])
    image = {field: labels.get(label) for field, label in _FIELDS.items()}
    return image | {"reference": reference, "digest": reference.partition("@")[2]}


def steps(text: str) -> list[int]:
    """The canary's weights, `10 50` for example: rising percentages below 100.  Raises ReleaseError."""
    words = text.replace(",", " ").split()
    weights = [int(word) for word in words if word.isdecimal()]
    rising = all(a < b for a, b in itertools.pairwise(weights))
    if len(weights) != len(words) or not weights or not rising or not 0 < weights[0] <= weights[-1] < 100:
        raise ReleaseError(f"CANARY_STEPS={text!r} is not a list of rising percentages from 1 to 99, as 10 50")
    return weights


def _candidate(wanted: Mapping[str, Any]) -> Manifest:
    """The new main predictor under another name, without a PodDisruptionBudget of its own.

    Seldon 1.17.1's budgets select by SeldonDeployment, so the live one's holds for both; a pod under two cannot be
    evicted at all, and no node drained.
    """
    candidate = {**copy.deepcopy(main_of(wanted)), "name": CANDIDATE}
    for part in candidate["componentSpecs"]:
        part.pop("pdbSpec", None)
    return candidate


def _arranged(live: Mapping[str, Any], predictors: Sequence[Manifest]) -> Manifest:
    metadata = {
        field: live["metadata"][field] for field in ("name", "namespace", "labels") if field in live["metadata"]
    }
    annotations = {**live["metadata"].get("annotations", {})}
    annotations.pop(_KUBECTLS_OWN, None)
    if annotations:
        metadata["annotations"] = annotations
    spec = {**live["spec"], "predictors": list(predictors)}
    return {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata, "spec": spec}
