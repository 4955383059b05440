"""What kustomize builds of base and overlays, against published schemas.

Kubernetes' own kinds, and everything that Seldon's operator makes of the SeldonDeployment: the API's published schemas
(kubernetes-validate), strictly.  SeldonDeployment: the local cluster's schema and webhook rules.  Istio's kinds: the
fields used here, as istio.io's reference lists them.  No package has the CustomResourceDefinitions of either in a form
that refuses an unknown field; where the charts are, tests/deploy/cluster/test_render.py takes theirs.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import pytest

from deploy.release import manifest
from deploy.release.errors import ManifestError
from localcluster.kubernetes.controller.operator import derive
from localcluster.kubernetes.state import seldon, validation
from localcluster.kubernetes.state.kinds import KINDS, SELDON

VERSION = "1.32"
OVERLAYS = ("local", "staging", "production")
SERVED = {(kind.api_version, kind.name) for kind in KINDS}
CORE = {("v1", "Namespace"), ("v1", "PersistentVolumeClaim"), ("networking.k8s.io/v1", "NetworkPolicy")}

STRING = {"type": "string"}
STRINGS = {"type": "array", "items": STRING, "minItems": 1}


def record(required: str = "", **properties: Any) -> dict[str, Any]:
    fields = {"type": "object", "properties": properties, "additionalProperties": False}
    return fields | {"required": required.split()}


LABELS = {"type": "object", "additionalProperties": STRING}
WORKLOADS = record("matchLabels", matchLabels=LABELS)
MODE = record("mode", mode={"enum": ["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]})
SOURCE = record(notRequestPrincipals=STRINGS, principals=STRINGS, ipBlocks=STRINGS)
OPERATION = record(paths=STRINGS, notMethods=STRINGS, ports=STRINGS)
ISTIO = {
    "Gateway": record(
        "selector servers",
        selector=LABELS,
        servers={
            "type": "array",
            "items": record(
                "port hosts",
                port=record(
                    "number protocol name",
                    number={"type": "integer", "minimum": 1, "maximum": 65535},
                    name=STRING,
                    protocol={"enum": ["HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS"]},
                ),
                hosts=STRINGS,
                tls=record(
                    httpsRedirect={"type": "boolean"},
                    mode={"enum": ["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL"]},
                    credentialName=STRING,
                    minProtocolVersion={"enum": ["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]},
                ),
            ),
        },
    ),
    "RequestAuthentication": record(
        selector=WORKLOADS,
        jwtRules={"type": "array", "items": record("issuer", issuer=STRING, jwksUri=STRING, audiences=STRINGS)},
    ),
    "PeerAuthentication": record(
        "mtls",
        selector=WORKLOADS,
        mtls=MODE,
        portLevelMtls={"type": "object", "propertyNames": {"pattern": "^[0-9]+$"}, "additionalProperties": MODE},
    ),
    "AuthorizationPolicy": record(
        selector=WORKLOADS,
        action={"enum": ["ALLOW", "DENY", "AUDIT", "CUSTOM"]},
        rules={
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "from": {"type": "array", "items": record("source", source=SOURCE)},
                    "to": {"type": "array", "items": record("operation", operation=OPERATION)},
                    "when": {"type": "array", "items": record("key", key=STRING, values=STRINGS)},
                },
            },
        },
    ),
}
VERSIONS = {"networking.istio.io/v1": {"Gateway"}, "security.istio.io/v1": set(ISTIO) - {"Gateway"}}


@pytest.fixture(params=OVERLAYS)
def objects(request: pytest.FixtureRequest, kubectl: Path) -> list[dict[str, Any]]:
    return manifest.read_overlay(request.param)


def test_every_object_fits_its_schema(objects: list[dict[str, Any]]) -> None:
    for each in objects:
        kind = each["apiVersion"], each["kind"]
        if kind in CORE:
            kubernetes_validate.validate(each, VERSION, strict=True)
        elif kind[0] in VERSIONS:
            assert kind[1] in VERSIONS[kind[0]]
            jsonschema.validate(each["spec"], ISTIO[kind[1]])
        else:
            assert kind == (SELDON.api_version, SELDON.name)
            assert validation.unknown_fields(SELDON, each) == []
            validation.check(SELDON, each)
            seldon.validate(each)


def test_what_seldon_makes_of_it_fits_the_schemas_of_kubernetes(objects: list[dict[str, Any]]) -> None:
    item = copy.deepcopy(manifest.seldon_of(objects))
    item["metadata"] |= {"uid": "u"}
    desired = derive(item)
    for each in (*desired.deployments, *desired.services):
        kubernetes_validate.validate(each, VERSION, strict=True)
    for part in item["spec"]["predictors"][0]["componentSpecs"]:
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
        scaling = {"scaleTargetRef": reference, **part["hpaSpec"]}
        scaling["metrics"] = scaling.pop("metricsv2")
        wrapped = {
            "HorizontalPodAutoscaler": ("autoscaling/v2", scaling),
            "PodDisruptionBudget": ("policy/v1", part["pdbSpec"]),
        }
        for kind, (version, spec) in wrapped.items():
            whole = {"apiVersion": version, "kind": kind, "metadata": {"name": "d"}, "spec": spec}
            kubernetes_validate.validate(whole, VERSION, strict=True)


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
    assert kinds == {"SeldonDeployment", "NetworkPolicy", "PersistentVolumeClaim", *ISTIO}
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
