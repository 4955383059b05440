"""The webhook's rules and what the operator derives, object by object, without any process."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from localcluster.kubernetes.controller.operator import derive
from localcluster.kubernetes.envoy import translate
from localcluster.kubernetes.errors import Invalid
from localcluster.kubernetes.state.kinds import SELDON
from localcluster.kubernetes.state.seldon import validate
from localcluster.kubernetes.state.validation import unknown_fields
from tests.deploy.release import published
from tests.localcluster.kubernetes.cluster import manifest, predictor_of


def sdep(*others: dict[str, Any], **predictor: Any) -> dict[str, Any]:
    item = copy.deepcopy(manifest("m", "clf:v3", *others, **predictor))
    item["metadata"] |= {"namespace": "default", "uid": "u", "creationTimestamp": "2024-01-01T00:00:00Z"}
    return item


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (sdep(predictor_of("b:v1")), "spec.predictors[1]: Invalid value: \"default\": Duplicate predictor name"),
        (sdep(predictor_of("b:v1", "b"), traffic=60), "Traffic must sum to 100 for multiple predictors"),
        (sdep(predictor_of("b:v1", "b", shadow=True), predictor_of("c:v1", "c", shadow=True)), "Multiple shadows"),
        (sdep(predictor_of("b:v1", "b", shadow=True, traffic=101)), "shadow traffic is illegal"),
        (sdep(graph={"name": "other"}), "Can't find container for Predictive Unit"),
        (sdep(graph={"name": "clf", "type": "UNKNOWN_TYPE"}), "has no implementation methods defined"),
        (sdep(graph={"name": "clf", "children": [{"name": "clf"}]}), "only valid for single element graphs"),
        (sdep(graph={"name": "clf", "implementation": "SKLEARN_SERVER"}), "modelUri required"),
        (sdep(annotations={"seldon.io/no-engine": "false"}), "the local cluster has no service orchestrator"),
        (sdep(explainer={"type": "AnchorImages"}), "explainer is not served by the local cluster"),
    ],
)  # fmt: skip
def test_what_the_webhook_refuses(item: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid) as refused:
        validate(item)
    assert words in str(refused.value)
    assert str(refused.value).startswith('admission webhook "v1.vseldondeployment.kb.io" denied the request: ')
    assert refused.value.status()["details"]["causes"]


def test_all_faults_are_collected() -> None:
    item = sdep(predictor_of("b:v1", traffic=10), traffic=10) | {}
    item["spec"]["protocol"] = "telepathy"
    with pytest.raises(Invalid) as refused:
        validate(item)
    assert len(refused.value.details["causes"]) == 3


def test_names_labels_and_environment() -> None:
    item = sdep(labels={"model-version": "7"}, replicas=2)
    item["spec"]["predictors"][0]["graph"]["parameters"] = [{"name": "n", "type": "INT", "value": "3"}]
    desired = derive(item)
    (deployment,) = desired.deployments
    assert deployment["metadata"]["name"] == "m-default-0-clf"
    assert deployment["spec"]["replicas"] == 2
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels["model-version"] == "7"
    assert labels["seldon-app-svc-clf"] == "m-default-clf"
    assert [service["metadata"]["name"] for service in desired.services] == ["m-default", "m-default-clf"]
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    values = {each["name"]: each["value"] for each in container["env"]}
    assert values["PREDICTIVE_UNIT_HTTP_SERVICE_PORT"] == "9000"
    assert values["PREDICTIVE_UNIT_GRPC_SERVICE_PORT"] == "9500"
    assert values["PREDICTIVE_UNIT_METRICS_SERVICE_PORT"] == "6000"
    assert values["PREDICTIVE_UNIT_PARAMETERS"] == '[{"name":"n","type":"INT","value":"3"}]'
    assert values["PREDICTOR_LABELS"] == '{"model-version":"7","version":"default"}'
    assert container["readinessProbe"]["tcpSocket"] == {"port": "http"}


def test_a_users_port_variable_wins_but_not_an_identifier() -> None:
    own = [{"name": "PREDICTIVE_UNIT_HTTP_SERVICE_PORT", "value": "1"}, {"name": "PREDICTOR_ID", "value": "mine"}]
    container = derive(sdep(container={"env": own})).deployments[0]["spec"]["template"]["spec"]["containers"][0]
    effective = {each["name"]: each["value"] for each in container["env"]}
    assert effective["PREDICTIVE_UNIT_HTTP_SERVICE_PORT"] == "1"
    assert effective["PREDICTOR_ID"] == "default"


def test_long_names_become_hashes() -> None:
    item = sdep(name="p" * 40)
    item["metadata"]["name"] = "m" * 40
    desired = derive(item)
    for each in (*desired.deployments, *desired.services):
        assert len(each["metadata"]["name"]) <= 63
    assert desired.deployments[0]["metadata"]["name"].startswith("seldon-")


def test_a_change_of_weights_leaves_the_pods_alone() -> None:
    first = derive(sdep(predictor_of("b:v1", "b", traffic=10), traffic=90))
    second = derive(sdep(predictor_of("b:v1", "b", traffic=60), traffic=40))
    assert first.deployments == second.deployments
    assert first.virtual_service != second.virtual_service


def test_the_virtual_service_becomes_weighted_mirrored_routes() -> None:
    shadow = predictor_of("c:v1", "dark", shadow=True, traffic=25)
    item = sdep(predictor_of("b:v1", "b", traffic=30), shadow, traffic=70)
    item["metadata"]["annotations"] = {"seldon.io/istio-retries": "3", "seldon.io/istio-retries-timeout": "5"}
    service = derive(item).virtual_service
    published.check(service)
    service["metadata"]["creationTimestamp"] = "2024-01-01T00:00:00Z"
    rest, grpc = translate.routes([service])["virtual_hosts"][0]["routes"]
    assert rest["match"] == {"prefix": "/seldon/default/m/"}
    assert rest["route"]["prefix_rewrite"] == "/"
    assert [each["weight"] for each in rest["route"]["weighted_clusters"]["clusters"]] == [70, 30]
    assert rest["route"]["request_mirror_policies"][0]["runtime_fraction"]["default_value"]["numerator"] == 250_000
    assert rest["route"]["retry_policy"]["num_retries"] == 3
    assert rest["route"]["retry_policy"]["per_try_timeout"] == "5s"
    assert {header["name"] for header in grpc["match"]["headers"]} == {"seldon", "namespace"}
    assert "outbound|9500|default|m-default.default.svc.cluster.local" in str(grpc["route"])
    named = {destination.cluster for destination in translate.destinations(service)}
    assert translate.clusters_of([translate.routes([service])]) == named


@pytest.mark.parametrize("name", ["seldon.io/istio-retries", "seldon.io/istio-retries-timeout"])
@pytest.mark.parametrize("text", ["1s", "-1", "", "many", "9" * 10])
def test_retries_that_are_no_numbers_never_reach_envoy(name: str, text: str) -> None:
    item = sdep()
    item["metadata"]["annotations"] = {"seldon.io/istio-retries": "3", name: text}
    with pytest.raises(ValueError, match=rf"the annotation {name} is '{text}'; give a whole number"):
        derive(item)


def test_no_retries_are_istios_own() -> None:
    item = sdep()
    item["metadata"]["annotations"] = {"seldon.io/istio-retries": "0"}
    assert derive(item).virtual_service == derive(sdep()).virtual_service


def test_requests_that_reached_no_replica_are_tried_again_on_another_as_istio_does() -> None:
    service = derive(sdep(predictor_of("b:v1", "b", traffic=30), traffic=70)).virtual_service
    service["metadata"]["creationTimestamp"] = "2024-01-01T00:00:00Z"
    for route in translate.routes([service])["virtual_hosts"][0]["routes"]:
        policy = route["route"]["retry_policy"]
        assert policy["retry_on"].split(",") == [
            "connect-failure",
            "refused-stream",
            "unavailable",
            "cancelled",
            "reset-before-request",
        ]
        assert policy["num_retries"] == 2
        (predicate,) = policy["retry_host_predicate"]
        assert predicate["name"] == "envoy.retry_host_predicates.previous_hosts"
        assert policy["host_selection_retry_max_attempts"] == 5
        assert "per_try_timeout" not in policy
        assert route["route"]["timeout"] == "0s"


def test_a_weight_of_nought_gets_no_route_but_a_lone_predictor_does() -> None:
    service = derive(sdep(predictor_of("b:v1", "b", traffic=100), traffic=0)).virtual_service
    service["metadata"]["creationTimestamp"] = "2024-01-01T00:00:00Z"
    assert "|b|" in translate.routes([service])["virtual_hosts"][0]["routes"][0]["route"]["cluster"]
    lone = derive(sdep()).virtual_service
    lone["metadata"]["creationTimestamp"] = "2024-01-01T00:00:00Z"
    assert "|default|" in translate.routes([lone])["virtual_hosts"][0]["routes"][0]["route"]["cluster"]


def test_the_schema_knows_the_fields_of_real_manifests() -> None:
    pod = {
        "terminationGracePeriodSeconds": 20,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "containers": [
            {
                "name": "clf",
                "image": "clf:v3",
                "resources": {"limits": {"cpu": "1"}},
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                "readinessProbe": {"httpGet": {"path": "/health/status", "port": "http"}, "periodSeconds": 5},
                "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            }
        ],
    }
    item = sdep(componentSpecs=[{"metadata": {"labels": {"a": "b"}}, "spec": pod, "hpaSpec": {"maxReplicas": 2}}])
    assert unknown_fields(SELDON, item) == []
    item["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"][0]["imagee"] = "x"
    item["metadata"]["nam"] = "y"
    assert unknown_fields(SELDON, item) == [
        "metadata.nam",
        "spec.predictors[0].componentSpecs[0].spec.containers[0].imagee",
    ]
