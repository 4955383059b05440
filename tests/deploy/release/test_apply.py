"""When a rollout is done, what it waits for, and when it cannot succeed."""

from __future__ import annotations

import math
from typing import Any

import pytest

from deploy.release import manifest
from deploy.release.apply import Patience, pending, wait_for
from deploy.release.errors import BrokenPod, DeployError

NEW, OLD = "fashion-classifier@sha256:new", "fashion-classifier@sha256:old"


def deployment(image: str = NEW, name: str = "default", generation: int = 2, **status: int) -> dict[str, Any]:
    done = {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    return {
        "kind": "Deployment",
        "metadata": {"name": f"d-{name}", "generation": generation},
        "spec": {
            "replicas": 1,
            "template": {"metadata": {"labels": {"version": name}}, "spec": {"containers": [{"image": image}]}},
        },
        "status": done | status,
    }


def pod(image: str, reason: str | None = None, restarts: int = 0) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": "why"}} if reason else {"running": {}}
    return {
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"image": image}]},
        "status": {"containerStatuses": [{"state": state, "restartCount": restarts}]},
    }


def seldon(state: str, description: str = "", **images: str) -> dict[str, Any]:
    predictors = [
        {"name": name, "componentSpecs": [{"spec": {"containers": [{"name": manifest.NAME, "image": image}]}}]}
        for name, image in (images or {"default": NEW}).items()
    ]
    return {"spec": {"predictors": predictors}, "status": {"state": state, "description": description}}


def test_a_complete_rollout_waits_for_nothing() -> None:
    assert pending(seldon("Available"), [deployment(), pod(NEW)]) is None
    two = [deployment(OLD), deployment(NEW, "candidate"), pod(OLD), pod(NEW)]
    assert pending(seldon("Available", default=OLD, candidate=NEW), two) is None


@pytest.mark.parametrize(
    ("state", "objects", "words"),
    [
        ("Available", [deployment(OLD)], "give predictor default its image"),
        ("Available", [], "give predictor default its image"),
        ("Available", [deployment(generation=3)], "controller to see"),
        ("Available", [deployment(updatedReplicas=0)], "0 of 1 new"),
        ("Available", [deployment(replicas=2)], "2 in all"),
        ("Available", [deployment(availableReplicas=0)], "0 ready"),
        ("Creating", [deployment()], "which is Creating"),
        ("Available", [deployment(availableReplicas=0), pod(NEW, "ContainerCreating")], "0 ready"),
        ("Available", [deployment(OLD), pod(OLD, "CrashLoopBackOff")], "give predictor default its image"),
        ("Available", [deployment(), deployment(NEW, "candidate")], "predictor candidate to leave"),
        ("Available", [deployment(OLD), deployment(NEW, "candidate")], "give predictor default its image"),
    ],
)
def test_what_is_missing_is_named(state: str, objects: list[dict[str, Any]], words: str) -> None:
    assert words in str(pending(seldon(state), objects))


def test_every_predictor_has_to_be_ready() -> None:
    asked = seldon("Available", default=OLD, candidate=NEW)
    assert "give predictor candidate" in str(pending(asked, [deployment(OLD)]))
    unready = [deployment(OLD), deployment(NEW, "candidate", availableReplicas=0)]
    assert "pods of d-candidate" in str(pending(asked, unready))


@pytest.mark.parametrize(
    ("reason", "restarts", "final"),
    [
        ("ErrImagePull", 0, False),
        ("ImagePullBackOff", 0, False),
        ("InvalidImageName", 0, True),
        ("CrashLoopBackOff", 2, True),
    ],
)
def test_a_pod_that_cannot_start_ends_the_wait(reason: str, restarts: int, final: bool) -> None:
    objects = [deployment(availableReplicas=0), pod(NEW, reason, restarts)]
    with pytest.raises(BrokenPod, match=f"{reason}: why") as broken:
        Patience(0).pending(seldon("Creating"), objects)
    assert broken.value.final is final
    if final:
        with pytest.raises(BrokenPod):
            Patience(math.inf).pending(seldon("Creating"), objects)


@pytest.mark.parametrize(("reason", "restarts"), [("ErrImagePull", 0), ("CrashLoopBackOff", 1)])
def test_a_pod_that_starts_at_the_second_attempt_ends_no_release(reason: str, restarts: int) -> None:
    patience = Patience(math.inf)
    assert patience.pending(seldon("Creating"), [deployment(availableReplicas=0), pod(NEW, reason, restarts)])
    assert patience.pending(seldon("Available"), [deployment(), pod(NEW)]) is None


def test_a_refusal_of_the_operator_ends_the_wait() -> None:
    with pytest.raises(DeployError, match="port taken"):
        pending(seldon("Failed", "port taken"), [])


def test_a_wait_ends_at_its_deadline_and_says_what_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DeployError, match="the goal was not reached in 0 s: still waiting for rain"):
        wait_for("the goal", lambda: "rain", 0)
    assert capsys.readouterr().out == "waiting for rain\n"
