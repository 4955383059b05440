"""`python -m deploy.release.apply`: the image as a SeldonDeployment (the target `make deploy`).

Returns when the new version answers through the ingress, or says what stands in its way: the state of the pods, the
last events and the last lines of the log.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from deploy.fashion_classifier.openapi import example_request
from deploy.release import files, ingress, kubectl, manifest
from deploy.release.errors import DeployError, PredictError, ReleaseError

_POLL = 0.3
_FATAL = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "CrashLoopBackOff")
_SELECTOR = f"seldon-deployment-id={manifest.NAME}"


def pending(deployment: Mapping[str, Any], objects: list[dict[str, Any]], reference: str) -> str | None:
    """What a rollout of `reference` still waits for; None when only that image serves.

    `objects` are the Deployments and Pods that belong to the SeldonDeployment.  Raises DeployError as soon as it
    cannot succeed without help.
    """
    status = deployment.get("status", {})
    mine = [each for each in objects if each["kind"] == "Deployment" and reference in _images(each["spec"]["template"])]
    for pod in objects:
        if pod["kind"] == "Pod" and reference in _images(pod):
            _refuse_broken(pod)
    if not mine:
        if status.get("state") == "Failed":
            raise DeployError(f"Seldon refuses the deployment: {status.get('description') or 'state Failed'}")
        return "Seldon's operator to take the new image"
    for each in mine:
        state, wanted = each.get("status", {}), each["spec"].get("replicas", 1)
        if state.get("observedGeneration", 0) < each["metadata"]["generation"]:
            return f"the controller to see Deployment {each['metadata']['name']}"
        updated, total, ready = (state.get(key, 0) for key in ("updatedReplicas", "replicas", "availableReplicas"))
        if updated < wanted or total > updated or ready < wanted:
            return f"pods of {each['metadata']['name']}: {updated} of {wanted} new, {ready} ready, {total} in all"
    if status.get("state") != "Available":
        return f"the SeldonDeployment, which is {status.get('state', 'without a state')}"
    return None


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


def rollout(image: Mapping[str, Any], namespace: str, seconds: float) -> None:
    """Wait until the image, and only it, is available.  Raises DeployError with what the cluster says."""
    reference = str(image["reference"])

    def check() -> str | None:
        deployment = kubectl.get("seldondeployment", manifest.NAME, "-n", namespace)
        objects = kubectl.get("deployments,pods", "-l", _SELECTOR, "-n", namespace)["items"]
        return pending(deployment, objects, reference)

    try:
        wait_for(f"availability of {reference}", check, seconds)
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
        namespace = manifest.write(image)["metadata"].get("namespace", "default")
        print(kubectl.run("apply", "-f", str(files.MANIFEST)).strip(), flush=True)
        rollout(image, namespace, arguments.timeout)
        base = confirm(image, namespace, 60)
    except ReleaseError as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 1
    print(f"{image['tag']} ({image['digest'][:19]}) answers at {base}/predictions")
    return 0


def _images(template: Mapping[str, Any]) -> list[str]:
    return [container.get("image", "") for container in template["spec"]["containers"]]


def _refuse_broken(pod: Mapping[str, Any]) -> None:
    for container in pod.get("status", {}).get("containerStatuses") or []:
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in _FATAL:
            reason = f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
            raise DeployError(f"pod {pod['metadata']['name']} cannot start: {reason}")


if __name__ == "__main__":
    sys.exit(main())
