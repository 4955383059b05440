"""The SeldonDeployment of each phase: weights, what is restarted, and that Seldon's webhook accepts it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deploy.release import files, manifest, phases
from deploy.release.errors import DeployError, ReleaseError
from localcluster.kubernetes.controller.operator import derive
from localcluster.kubernetes.envoy import translate
from localcluster.kubernetes.state.seldon import validate
from tests.deploy.release.test_manifest import IMAGE

BASE: dict[str, Any] = yaml.safe_load((files.REPOSITORY / "deploy" / "base" / "deploy.yaml").read_text())
NEW = IMAGE | {"reference": "fashion-classifier@sha256:" + "b" * 64, "model_version": 4}
SERVER_OWNED = {"uid": "u", "resourceVersion": "7", "creationTimestamp": "2024-01-01T00:00:00Z"}


def live() -> dict[str, Any]:
    found = manifest.render(BASE, IMAGE)
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "team": "clothes"}
    found["metadata"] |= SERVER_OWNED | {"annotations": annotations}
    return found | {"status": {"state": "Available"}}


def derived(seldon: dict[str, Any]) -> Any:
    return derive(seldon | {"metadata": seldon["metadata"] | SERVER_OWNED})


def arrangements(weight: int) -> list[dict[str, Any]]:
    wanted = manifest.render(BASE, NEW)
    return [phases.alone(live()), phases.shadow(live(), wanted), phases.canary(live(), wanted, weight), wanted]


@given(st.integers(1, 99))
def test_the_weights_of_the_answering_predictors_sum_to_100_and_the_webhook_agrees(weight: int) -> None:
    for seldon in arrangements(weight):
        answering = [each["traffic"] for each in seldon["spec"]["predictors"] if not each.get("shadow")]
        assert sum(answering) == 100
        validate(seldon)


def test_each_phase_shows_where_the_candidate_stands() -> None:
    places = [phases.place_of(seldon, NEW["reference"]) for seldon in (None, *arrangements(10))]
    assert places == ["absent", "absent", "a shadow", "a canary", "the main predictor"]


def test_no_phase_before_the_promotion_touches_the_live_pods() -> None:
    before = derived(live()).deployments[0]
    for seldon in arrangements(10)[:3]:
        assert derived(seldon).deployments[0] == before


def test_the_routes_of_shadow_and_canary_are_those_that_seldon_gives_istio() -> None:
    _, shadow, canary, _ = (derived(seldon).virtual_service for seldon in arrangements(10))
    for service in (shadow, canary):
        service["metadata"]["creationTimestamp"] = "2024-01-01T00:00:00Z"
    for index, route in enumerate(shadow["spec"]["http"]):
        assert [(r["destination"]["subset"], r["weight"]) for r in route["route"]] == [("default", 100)]
        assert route["mirror"]["subset"] == "candidate"
        assert route["mirrorPercentage"] == {"value": 100.0}
        envoy = translate.routes([shadow])["virtual_hosts"][0]["routes"][index]["route"]
        assert "|default|" in envoy["cluster"]
        (mirror,) = envoy["request_mirror_policies"]
        assert "|candidate|" in mirror["cluster"]
        assert mirror["runtime_fraction"]["default_value"] == {"numerator": 1_000_000, "denominator": "MILLION"}
    for index, route in enumerate(canary["spec"]["http"]):
        assert [(r["destination"]["subset"], r["weight"]) for r in route["route"]] == [
            ("default", 90),
            ("candidate", 10),
        ]
        assert "mirror" not in route
        envoy = translate.routes([canary])["virtual_hosts"][0]["routes"][index]["route"]
        assert [each["weight"] for each in envoy["weighted_clusters"]["clusters"]] == [90, 10]


def test_only_versions_that_answer_store_corrections() -> None:
    stores = [
        [
            any(v["name"] == "FEEDBACK_SPOOL" for v in manifest.container_of(each)["env"])
            for each in seldon["spec"]["predictors"]
        ]
        for seldon in arrangements(10)
    ]
    assert stores == [[True], [True, False], [True, True], [True]]


def test_what_is_applied_carries_nothing_of_the_servers() -> None:
    seldon = phases.alone(live())
    assert seldon["metadata"].keys() == {"name", "namespace", "labels", "annotations"}
    assert seldon["metadata"]["annotations"] == {"team": "clothes"}
    assert "status" not in seldon


def test_the_live_image_is_what_labels_and_reference_say() -> None:
    image = phases.image_of(phases.canary(live(), manifest.render(BASE, NEW), 10))
    assert image == {name: str(IMAGE[name]) for name in image}
    assert manifest.render(BASE, image) == manifest.render(BASE, IMAGE)


def test_a_candidate_is_an_unfinished_release() -> None:
    alone, shadow, canary, wanted = arrangements(10)
    assert [phases.unfinished(each) for each in (alone, shadow, canary, wanted)] == [False, True, True, False]


def test_a_deployment_without_a_main_predictor_is_refused() -> None:
    other = copy.deepcopy(live())
    other["spec"]["predictors"][0]["name"] = "other"
    with pytest.raises(DeployError, match="has no predictor default"):
        phases.alone(other)


@pytest.mark.parametrize(("text", "weights"), [("10 50", [10, 50]), ("5,25, 75", [5, 25, 75]), ("99", [99])])
def test_steps_are_rising_percentages(text: str, weights: list[int]) -> None:
    assert phases.steps(text) == weights


@pytest.mark.parametrize("text", ["", "0", "100", "50 10", "10 10", "ten", "10 x", "-5"])
def test_other_steps_are_refused(text: str) -> None:
    with pytest.raises(ReleaseError, match="rising percentages"):
        phases.steps(text)


def test_a_pod_is_under_one_disruption_budget() -> None:
    for seldon in arrangements(10):
        parts = [part for each in seldon["spec"]["predictors"] for part in each["componentSpecs"]]
        assert sum("pdbSpec" in part for part in parts) == 1
