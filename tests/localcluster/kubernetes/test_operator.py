"""What is derived of SeldonDeployments, field by field against recordings of Seldon's operator (recorded/README.md).

Each deliberate difference is a function or constant here that says why; everything else is equal.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from localcluster.kubernetes.controller.operator import Desired, address, derive, endpoint
from localcluster.kubernetes.envoy import translate
from localcluster.kubernetes.state import defaults
from localcluster.kubernetes.state.seldon import VERSIONS, validate

RECORDED = Path(__file__).parent / "recorded"
OWNED = {"uid": "u", "creationTimestamp": "2024-01-01T00:00:00Z"}

STRICTER = {
    "retries-empty": "the annotation seldon.io/istio-retries is ''",
    "retries-negative": "the annotation seldon.io/istio-retries is '-1'",
}
"""Seldon makes no retries of an empty text or a number below nought; here both are taken for a slip, and said so."""
REFUSED = {
    "retries-nought": "the annotation seldon.io/istio-retries-timeout is 'many'",
    "retries-with-a-unit": "the annotation seldon.io/istio-retries-timeout is '5s'",
}
"""Seldon refuses them in Go's words (strconv.Atoi); here the words name the annotation and what it takes."""
CASES = sorted({path.stem for path in (RECORDED / "given").glob("*.yaml")} - STRICTER.keys() - REFUSED.keys())
LOSES_VARIABLES = "own-port-variable"
HOOK = {"preStop": {"exec": {"command": ["/bin/sh", "-c", "/bin/sleep 10"]}}}
PODINFO = "seldon-podinfo"


def read(kind: str, name: str) -> Any:
    return yaml.load((RECORDED / kind / f"{name}.yaml").read_text(), yaml.CSafeLoader)


class Case(NamedTuple):
    """What is given, what Seldon makes of it and what is derived of it here."""

    name: str
    given: Any
    made: Any
    desired: Desired


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    given = read("given", request.param)
    given["metadata"] |= OWNED
    return Case(request.param, given, read("made", request.param), derive(given))


def by_name(objects: list[Any]) -> dict[str, Any]:
    named = {each["metadata"]["name"]: copy.deepcopy(each) for each in objects}
    assert len(named) == len(objects)
    return named


def identity(item: Any) -> Any:
    """Labels, annotations and place; the owner is named by the step after the recorded one."""
    found = {field: item["metadata"].get(field) or {} for field in ("labels", "annotations")}
    return found | {field: item["metadata"][field] for field in ("name", "namespace")}


def test_every_recording_has_its_input() -> None:
    given, made = ({path.name for path in (RECORDED / kind).glob("*.yaml")} for kind in ("given", "made"))
    assert given == made
    for name in REFUSED:
        assert read("made", name).keys() == {"refused"}
    for name in (*CASES, *STRICTER):
        assert "refused" not in read("made", name)
        validate(read("given", name))


def test_the_virtual_service(case: Case) -> None:
    _, _, made, desired = case
    (wanted,) = made["virtualServices"]
    found = identity(desired.virtual_service)
    # The stand-in's own, instead of the subsets of DestinationRules: see the next test.
    del found["annotations"][VERSIONS]
    assert found == identity(wanted)
    assert with_weights(desired.virtual_service["spec"]) == with_weights(wanted["spec"])


def with_weights(spec: Any) -> Any:
    """Go leaves a weight of nought out; order of routes and destinations counts."""
    spec = copy.deepcopy(spec)
    for route in spec["http"]:
        for destination in route["route"]:
            destination.setdefault("weight", 0)
    return spec


def test_envoy_does_what_the_destination_rules_say(case: Case, tmp_path: Path) -> None:
    """None are made here: the subset's label is in an annotation, and the policy is in Envoy's clusters."""
    _, _, made, desired = case
    routed = list(translate.destinations(desired.virtual_service))
    said = {}
    for rule in made["destinationRules"]:
        spec = rule["spec"]
        # Nothing of load balancing, outliers, TLS or limits: Istio's defaults.
        assert spec["trafficPolicy"] == {"connectionPool": {"http": {"idleTimeout": "60s"}}}
        (subset,) = spec["subsets"]
        assert subset.keys() == {"name", "labels"}
        said[spec["host"], subset["name"]] = subset["labels"]
    assert {
        (f"{each.host}.{each.namespace}.svc.cluster.local", each.subset): {"version": each.version} for each in routed
    } == said
    for each in routed:
        cluster = translate.cluster(each, tmp_path)
        assert cluster["lb_policy"] == "LEAST_REQUEST"
        assert "outlier_detection" not in cluster
        (options,) = cluster["typed_extension_protocol_options"].values()
        # decisions.md, 7: gunicorn closes idle connections after two seconds, and Envoy has to be first.
        idle = "60s" if each.http2 else "1s"
        assert options["common_http_protocol_options"] == {"idle_timeout": idle}


def test_the_pods_of_a_subset_have_its_label(case: Case) -> None:
    """Otherwise a request finds no endpoint; `containers` has a Deployment that belongs to no Service."""
    desired = case.desired
    services = {each["metadata"]["name"]: each["spec"]["selector"] for each in desired.services}
    for each in translate.destinations(desired.virtual_service):
        selector = services[each.host] | {"version": each.version}
        labels = [d["spec"]["template"]["metadata"]["labels"] for d in desired.deployments]
        assert sum(selector.items() <= found.items() for found in labels) == 1


def test_the_services(case: Case) -> None:
    _, given, made, desired = case
    wanted, found = by_name(made["services"]), by_name(desired.services)
    assert found.keys() == wanted.keys()
    for name, each in found.items():
        assert identity(each) == identity(wanted[name])
        # decisions.md, 24: one machine has no addresses for Services.
        assert each["spec"].pop("clusterIP") == "None"
        for service in (each, wanted[name]):
            defaults.service(service)
        assert each["spec"] == wanted[name]["spec"]
    assert {name: endpoint(given, each) for name, each in by_name(desired.services).items()} == made["serviceStatus"]
    assert address(given, desired.services[0]) == made["address"]


def test_the_deployments(case: Case) -> None:
    wanted, found = by_name(case.made["deployments"]), by_name(case.desired.deployments)
    assert list(found) == list(wanted)
    for name, each in found.items():
        assert identity(each) == identity(wanted[name])
        leave_scaling(case.given, wanted[name]["spec"], each["spec"])
        less_what_one_machine_has_not(wanted[name]["spec"]["template"]["spec"])
        if case.name == LOSES_VARIABLES:
            keep_variables(wanted[name]["spec"]["template"]["spec"])
        assert comparable(each) == comparable(wanted[name])


def leave_scaling(given: Any, wanted: Any, found: Any) -> None:
    """Nothing scales by load here (an Event says so): `replicas` counts beside hpaSpec, where Seldon leaves it out."""
    if "replicas" not in wanted and "hpaSpec" in str(given["spec"]):
        assert found.pop("replicas") == given["spec"]["predictors"][0]["replicas"]


def keep_variables(pod: Any) -> None:
    """Seldon 1.17.1 loses all variables that a container has when it meets a port's that the user has set (SetEnvVar).

    Here the user's stay, and the one about the port wins.
    """
    (container,) = pod["containers"]
    lost = [("A", "b"), ("PREDICTIVE_UNIT_HTTP_SERVICE_PORT", "1"), ("PREDICTIVE_UNIT_SERVICE_PORT", "9000")]
    assert not {name for name, _ in lost} & {each["name"] for each in container["env"]}
    container["env"] = [*({"name": name, "value": value} for name, value in lost), *container["env"]]


def less_what_one_machine_has_not(pod: Any) -> None:
    """Hooks are not run (an Event says so), and there are no downwardAPI volumes: /etc/podinfo is not there."""
    pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] != PODINFO]
    if not pod["volumes"]:
        del pod["volumes"]
    for container in pod["containers"]:
        if container.get("lifecycle") == HOOK:
            del container["lifecycle"]
        if "volumeMounts" in container:
            container["volumeMounts"] = [each for each in container["volumeMounts"] if each["name"] != PODINFO]
            if not container["volumeMounts"]:
                del container["volumeMounts"]


def comparable(deployment: Any) -> Any:
    """A Deployment's spec as the API server completes it.

    Ports have no order; probes may name a port, as here, or have its number; JSON in variables is what it says.
    """
    defaults.deployment(deployment)
    spec = deployment["spec"]
    for container in spec["template"]["spec"]["containers"]:
        ports = {each["name"]: each["containerPort"] for each in container.get("ports") or []}
        container["ports"] = sorted(container.get("ports") or [], key=lambda each: str(each["name"]))
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            for way in ("httpGet", "tcpSocket"):
                asked = container.get(kind, {}).get(way)
                if asked:
                    asked["port"] = ports.get(asked["port"], asked["port"])
        for variable in container.get("env") or []:
            if variable.get("value", "").startswith(("{", "[")):
                variable["value"] = json.loads(variable["value"])
    return spec


@pytest.mark.parametrize(("name", "words"), [*STRICTER.items(), *REFUSED.items()])
def test_retries_that_are_no_whole_numbers_are_refused(name: str, words: str) -> None:
    given = read("given", name)
    given["metadata"] |= OWNED
    with pytest.raises(ValueError, match="give a whole number") as refused:
        derive(given)
    assert words in str(refused.value)
