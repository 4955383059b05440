"""Which version is in production: the labels on the main predictor of the live SeldonDeployment, nothing else.

Lineage and the accuracy gate read it here, with the genuine kubectl.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.release import kubectl
from deploy.release.errors import DeployError
from deploy.release.manifest import MAIN_PREDICTOR, NAME
from fmnist import registry

STAGING = "fashion-mnist-staging"
"""The namespace of the overlay staging: what is tried out there is not in production."""

_RESOURCE = "seldondeployments.machinelearning.seldon.io"


@dataclass(frozen=True)
class Listed:
    """The SeldonDeployments that kubectl may list; `problem` says why there may be more, or why there are none."""

    deployments: tuple[Mapping[str, Any], ...]
    problem: str | None = None


@dataclass(frozen=True)
class Named:
    """The model version that labels or tags name; None for what they do not say."""

    model: str
    version: str | None
    checkpoint: str | None


@dataclass(frozen=True)
class Production:
    """What is in production: `named` with a version, or None and the `reason` why none is known.

    `readable` tells whether the cluster said so; else there may be one.
    """

    named: Named | None
    reason: str = ""
    readable: bool = True
    predictor: str | None = None


def deployments() -> Listed:
    """The SeldonDeployments of all namespaces, else of the one that may be listed."""
    problem = None
    for scope in (["--all-namespaces"], []):
        try:
            return Listed(tuple(kubectl.get(_RESOURCE, *scope)["items"]), problem)
        except (DeployError, ValueError, KeyError) as error:
            problem = str(error)
            if "forbidden" not in problem.lower():
                break
    return Listed((), problem)


def is_main(deployment: Mapping[str, Any], predictor: Mapping[str, Any]) -> bool:
    """Whether it is the predictor whose labels say what is in production."""
    return bool(deployment["metadata"]["name"] == NAME and predictor["name"] == MAIN_PREDICTOR)


def named(tags: Mapping[str, str]) -> Named:
    """What the labels of a predictor or an image, or the tags of an answer, say."""
    return Named(
        model=tags.get("model_name") or tags.get("model.name") or registry.MODEL_NAME,
        version=tags.get("model_version") or tags.get("model-version") or tags.get("model.version"),
        checkpoint=tags.get("checkpoint") or tags.get("model.checkpoint"),
    )


def find() -> Production:
    """The version in production; of several namespaces the one called `default` comes first."""
    listed = deployments()
    mains = [
        (str(deployment["metadata"].get("namespace", "default")), predictor.get("labels") or {})
        for deployment in listed.deployments
        for predictor in deployment["spec"]["predictors"]
        if is_main(deployment, predictor) and deployment["metadata"].get("namespace") != STAGING
    ]
    if not mains and listed.problem:
        return Production(None, listed.problem.splitlines()[-1], readable=False)
    if not mains:
        return Production(None, f"no SeldonDeployment {NAME} with a predictor {MAIN_PREDICTOR} is deployed")
    namespace, labels = min(mains, key=lambda main: (main[0] != "default", main[0]))
    predictor = f"{namespace}/{NAME}/{MAIN_PREDICTOR}"
    found = named(labels)
    if found.version is None or not found.version.isdecimal():
        wrong = f"the label model-version={found.version!r}" if found.version else "no label model-version"
        reason = f"the live predictor {predictor} has {wrong}: it was not deployed by make deploy"
        return Production(None, reason, readable=False)
    return Production(found, predictor=predictor)
