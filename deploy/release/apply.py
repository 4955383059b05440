"""`python -m deploy.release.apply`: the image as a SeldonDeployment (the target `make deploy`).

Returns when the new version answers through the ingress, or says what stands in its way: the state of the pods, the
last events and the last lines of the log.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from deploy.fashion_classifier.openapi import example_request
from deploy.release import access, files, history, ingress, kubectl, manifest
from deploy.release.errors import BrokenPod, DeployError, PredictError, ReleaseError

_POLL = 0.3
_FATAL = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError")
_RESTARTS = 2
"""A container that crashes once and then comes up is none of a release's business."""
_GRACE_SECONDS = 30.0
"""For a registry that does not answer, or a Secret that comes a moment later: the kubelet tries again after 10 s."""
_SELECTOR = f"seldon-deployment-id={manifest.NAME}"


def pending(deployment: Mapping[str, Any], objects: list[dict[str, Any]]) -> str | None:
    """What a rollout still waits for; None when every predictor serves its image, and no other is left.

    `deployment` is the SeldonDeployment as it was applied; `objects` are the Deployments and Pods that belong to it.
    Raises DeployError where it cannot succeed without help, and BrokenPod where one cannot start as it is.
    """
    status, predictors = deployment.get("status", {}), deployment["spec"]["predictors"]
    wanted = {each["name"]: manifest.container_of(each)["image"] for each in predictors}
    deployments = {_predictor(each): each for each in objects if each["kind"] == "Deployment"}
    for pod in objects:
        if pod["kind"] == "Pod" and set(wanted.values()) & set(_images(pod)):
            _refuse_broken(pod)
    for name, reference in wanted.items():
        found = deployments.get(name)
        if found is None or reference not in _images(found["spec"]["template"]):
            if status.get("state") == "Failed":
                raise DeployError(f"Seldon refuses the deployment: {status.get('description') or 'state Failed'}")
            return f"Seldon's operator to give predictor {name} its image"
        if missing := _unavailable(found):
            return missing
    if leaving := deployments.keys() - wanted.keys():
        return f"predictor {', '.join(sorted(leaving))} to leave"
    if status.get("state") != "Available":
        return f"the SeldonDeployment, which is {status.get('state', 'without a state')}"
    return None


class Patience:
    """Waits a while for pods that cannot start, because some can a moment later."""

    def __init__(self, seconds: float = _GRACE_SECONDS) -> None:
        self._seconds, self._since = seconds, math.inf

    def pending(self, deployment: Mapping[str, Any], objects: list[dict[str, Any]]) -> str | None:
        """As `pending`; a BrokenPod is raised when it lasts, or at once where it is final."""
        try:
            waiting = pending(deployment, objects)
        except BrokenPod as error:
            now = time.monotonic()
            self._since = min(self._since, now)
            if error.final or now - self._since >= self._seconds:
                raise
            return f"another try: {error}"
        self._since = math.inf
        return waiting


def wait_for(description: str, check: Callable[[], str | None], seconds: float) -> None:
    """Call `check` until it returns None; what it waits for is printed when that changes.  Raises DeployError."""
    deadline, said = time.monotonic() + seconds, None
    while (waiting := check()) is not None:
        if waiting != said:
            print(f"waiting for {waiting}", flush=True)
            said = waiting
        if time.monotonic() > deadline:
            raise DeployError(f"{description} was not reached in {seconds:.0f} s: still waiting for {waiting}")
        time.sleep(_POLL)


def apply(objects: list[manifest.Manifest], seldon: manifest.Manifest, seconds: float) -> None:
    """Apply the overlay with this SeldonDeployment and wait until it is as asked.  Raises DeployError."""
    manifest.write(objects, seldon)
    print(kubectl.run("apply", "-f", str(files.MANIFEST)).strip(), flush=True)
    namespace = manifest.namespace_of(seldon)

    patience = Patience()

    def check() -> str | None:
        deployment = kubectl.get("seldondeployment", manifest.NAME, "-n", namespace)
        return patience.pending(deployment, kubectl.get("deployments,pods", "-l", _SELECTOR, "-n", namespace)["items"])

    try:
        wait_for(f"availability of {', '.join(_versions(seldon))}", check, seconds)
    except DeployError as error:
        raise DeployError(f"{error}\n{diagnosis(namespace)}") from error


def confirm(image: Mapping[str, Any], namespace: str, seconds: float) -> str:
    """Wait until answers through the ingress name the image's version; returns the base URL.  Raises DeployError."""
    base = ingress.base_url(namespace)
    wanted = {"model_version": str(image["model_version"]), "checkpoint": image["checkpoint_uuid"]}

    def check() -> str | None:
        try:
            tags = ingress.predict(base, example_request(), timeout=10).get("meta", {}).get("tags", {})
        except PredictError as error:
            return f"the ingress: {error}"
        found = {name: tags.get(name) for name in wanted}
        return None if found == wanted else f"answers of {wanted}; they come from {found}"

    wait_for(f"an answer of version {image['model_version']}", check, seconds)
    return base


def diagnosis(namespace: str) -> str:
    """Pods, last events and last log lines, as far as kubectl gives them."""
    asked = {
        "pods": ("get", "pods", "-l", _SELECTOR, "-n", namespace),
        "events": ("get", "events", "-n", namespace, "--sort-by=.lastTimestamp"),
        "log": ("logs", "-l", _SELECTOR, "-n", namespace, "--tail=20"),
    }
    parts = []
    for title, arguments in asked.items():
        try:
            lines = kubectl.run(*arguments).splitlines()
        except DeployError as error:
            lines = [str(error)]
        parts.append("\n  ".join([f"{title}:", *lines[-20:]]))
    return "\n".join(parts)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code is 1 where something could not be done."""
    parser = argparse.ArgumentParser(prog="python -m deploy.release.apply", description=__doc__)
    parser.add_argument("--timeout", type=float, default=300, help="seconds for the rollout (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        image = manifest.read_image()
        objects = manifest.read_overlay()
        seldon = manifest.render(manifest.seldon_of(objects), image)
        apply(objects, seldon, arguments.timeout)
        print(access.apply(seldon))
        base = confirm(image, manifest.namespace_of(seldon), 60)
        history.add(manifest.namespace_of(seldon), history.Entry.of("deploy", image))
    except ReleaseError as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 1
    print(f"{image['tag']} ({image['digest'][:19]}) answers at {base}/predictions")
    return 0


def _images(template: Mapping[str, Any]) -> list[str]:
    return [container.get("image", "") for container in template["spec"]["containers"]]


def _versions(seldon: Mapping[str, Any]) -> list[str]:
    return [f"{p['name']} (version {p['labels'].get('model-version', '?')})" for p in seldon["spec"]["predictors"]]


def _predictor(deployment: Mapping[str, Any]) -> str:
    """The predictor that a Deployment is for: Seldon puts its name into the label `version` of the pods."""
    return str(deployment["spec"]["template"]["metadata"]["labels"]["version"])


def _unavailable(deployment: Mapping[str, Any]) -> str | None:
    state, wanted, metadata = (
        deployment.get("status", {}),
        deployment["spec"].get("replicas", 1),
        deployment["metadata"],
    )
    if state.get("observedGeneration", 0) < metadata["generation"]:
        return f"the controller to see Deployment {metadata['name']}"
    updated, total, ready = (state.get(key, 0) for key in ("updatedReplicas", "replicas", "availableReplicas"))
    if updated < wanted or total > updated or ready < wanted:
        return f"pods of {metadata['name']}: {updated} of {wanted} new, {ready} ready, {total} in all"
    return None


def _refuse_broken(pod: Mapping[str, Any]) -> None:
    for container in pod.get("status", {}).get("containerStatuses") or []:
        waiting = container.get("state", {}).get("waiting") or {}
        reason = waiting.get("reason")
        crashed = reason == "CrashLoopBackOff" and container.get("restartCount", 0) >= _RESTARTS
        if crashed or reason in _FATAL:
            words = f"{reason}: {waiting.get('message', '')}".rstrip(": ")
            final = crashed or reason == "InvalidImageName"
            raise BrokenPod(f"pod {pod['metadata']['name']} cannot start: {words}", final=final)


if __name__ == "__main__":
    sys.exit(main())
