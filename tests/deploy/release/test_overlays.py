"""What kustomize builds of base and overlays, against published schemas.

Kubernetes' own kinds, and everything that Seldon's operator makes of the SeldonDeployment: the API's published schemas
(kubernetes-validate), strictly.  SeldonDeployment: the local cluster's schema and webhook rules.  Istio's kinds have no
schema in a package: checked are the fields used here, as istio.io's reference lists them, not the whole kind.
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
    "AuthorizationPolicy": record(
        selector=WORKLOADS,
        action={"enum": ["ALLOW", "DENY", "AUDIT", "CUSTOM"]},
        rules={
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "from": {"type": "array", "items": record("source", source=record(notRequestPrincipals=STRINGS))},
                    "to": {"type": "array", "items": record("operation", operation=record(paths=STRINGS))},
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


def test_production_asks_for_a_token_and_spreads_the_replicas(kubectl: Path) -> None:
    objects = {each["kind"]: each for each in manifest.read_overlay("production")}
    assert objects.keys() == {"SeldonDeployment", "NetworkPolicy", "PersistentVolumeClaim", *ISTIO}
    (part,) = objects["SeldonDeployment"]["spec"]["predictors"][0]["componentSpecs"]
    assert len(part["spec"]["topologySpreadConstraints"]) == 2
    policy = objects["AuthorizationPolicy"]["spec"]
    assert policy["action"] == "DENY"
    assert policy["rules"][0]["to"][0]["operation"]["paths"] == ["/seldon/default/fashion-classifier/*"]
    selected = objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]
    (deployment,) = derive(
        objects["SeldonDeployment"] | {"metadata": objects["SeldonDeployment"]["metadata"] | {"uid": "u"}}
    ).deployments
    assert selected.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


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
