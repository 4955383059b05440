"""`kubectl scale` and the subresource behind it."""

from __future__ import annotations

import json

import pytest

from tests.contract.kubernetes.objects import deployment, seldon
from tests.contract.kubernetes.server import Namespace, failure

SELDON = "seldondeployments.machinelearning.seldon.io"


def test_a_deployment_is_scaled_by_hand(namespace: Namespace) -> None:
    made = namespace.post("deployments.apps", deployment("d", paused=True)).body["metadata"]
    scale = namespace.get("deployments.apps", "/d/scale").body
    metadata = {key: made[key] for key in ("name", "namespace", "uid", "creationTimestamp")}
    assert (scale["kind"], scale["apiVersion"], scale["spec"]) == ("Scale", "autoscaling/v1", {})
    assert {key: scale["metadata"][key] for key in metadata} == metadata
    assert scale["status"] == {"replicas": 0, "selector": "app=d"}
    done = namespace.kubectl("scale", "deploy/d", "--replicas=2")
    assert done.stdout == "deployment.apps/d scaled\n"
    found = namespace.get("deployments.apps", "/d").body
    assert (found["spec"]["replicas"], found["metadata"]["generation"]) == (2, 2)
    refused = namespace.kubectl("scale", "deploy/d", "--replicas=3", "--current-replicas=9")
    assert refused.stderr == "error: Expected replicas to be 9, was 2\n"
    back = namespace.server.ask("PUT", namespace.path("deployments.apps", "/d/scale"), scale)
    assert (back.status, back.body["reason"]) == (409, "Conflict")
    assert namespace.patch("deployments.apps", "d/scale", {"spec": {"replicas": 0}}).body["spec"] == {}


def test_a_scale_that_cannot_be(namespace: Namespace) -> None:
    namespace.post("deployments.apps", deployment())
    refused = namespace.patch("deployments.apps", "d/scale", {"spec": {"replicas": -1}})
    message = 'Scale.autoscaling "d" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'
    assert (refused.status, refused.body["message"]) == (422, message)
    refused = namespace.patch("deployments.apps", "d/scale", {"spec": {"replicas": "x"}})
    words = "json: cannot unmarshal string into Go struct field ScaleSpec.spec.replicas of type int32"
    assert refused.body["message"].endswith(words)
    missing = namespace.get("deployments.apps", "/no/scale").body
    details = {"name": "no", "group": "apps", "kind": "deployments/scale"}
    assert missing == failure('deployments/scale.apps "no" not found', "NotFound", 404, **details)


@pytest.mark.parametrize("replicas", [1, 3])
def test_a_seldon_deployment_is_scaled_by_hand(namespace: Namespace, replicas: int) -> None:
    item = seldon()
    del item["spec"]["predictors"][0]["replicas"]
    item["spec"]["replicas"] = 0
    namespace.apply(item)
    done = namespace.kubectl("scale", "sdep/m", f"--replicas={replicas}", "--dry-run=server", "-o", "json")
    assert done.returncode == 0, done.stderr
    scale = namespace.patch(SELDON, "m/scale", {"spec": {"replicas": 0}}).body
    assert (scale["kind"], scale["spec"]) == ("Scale", {})
    assert json.loads(namespace.kubectl("get", "sdep", "m", "-o", "json").stdout)["spec"]["replicas"] == 0
