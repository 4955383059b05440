"""Fields that are accepted and do nothing on one machine: each is told, in few sentences."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from localcluster.kubernetes.controller import effects
from localcluster.kubernetes.state import schema
from localcluster.kubernetes.state.kinds import SELDON
from localcluster.settings import REPOSITORY
from tests.contract.kubernetes.objects import Object, in_seldon, seldon

POD = "io.k8s.api.core.v1.PodSpec"
CONTAINER = "io.k8s.api.core.v1.Container"
SOMETHING = {"something": 1}


def told(item: Object) -> list[str]:
    return list(effects.without_effect(item))


def in_pod(**fields: Any) -> Object:
    item = seldon()
    item["spec"]["predictors"][0]["componentSpecs"][0]["spec"] |= fields
    return item


def test_nothing_is_told_of_a_manifest_whose_every_field_acts() -> None:
    assert told(seldon()) == []


def test_the_manifest_of_this_repository_gets_one_event_for_each_reason() -> None:
    item = yaml.safe_load((REPOSITORY / "deploy" / "base" / "deploy.yaml").read_text())
    assert [sentence.partition(" no effect")[0] for sentence in told(item)] == [
        "predictor default: spec.securityContext, spec.containers.resources, spec.containers.securityContext have",
        "predictor default: spec.containers.volumeMounts.readOnly, spec.volumes.emptyDir.sizeLimit have",
        "predictor default: hpaSpec has",
        "predictor default: pdbSpec has",
    ]


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        (seldon() | {"spec": seldon()["spec"] | {"oauth_key": "k", "oauth_secret": "s"}},
         "oauth_key, oauth_secret have no effect on the local cluster: the ingress asks nobody who they are"),
        (seldon(svcOrchSpec={"replicas": 2}, engineResources={"limits": {"cpu": "1"}}),
         "predictor default: svcOrchSpec, engineResources have no effect on the local cluster: there is no service "
         "orchestrator; requests go straight to the model's container"),
        (seldon(graph={"name": "clf", "type": "MODEL", "endpoint": {"type": "REST", "service_port": 1}}),
         "predictor default: graph.endpoint.service_port has no effect on the local cluster: there is no service "
         "orchestrator; requests go straight to the model's container"),
        (in_pod(tolerations=[SOMETHING], nodeSelector={"a": "b"}, priorityClassName="high"),
         "predictor default: spec.tolerations, spec.nodeSelector, spec.priorityClassName have no effect on the local "
         "cluster: there is one node, and nothing is placed or evicted"),
        (in_pod(activeDeadlineSeconds=5),
         "predictor default: spec.activeDeadlineSeconds has no effect on the local cluster: nothing reads it on one "
         "machine"),
        (in_pod(volumes=[{"name": "v", "configMap": {"name": "c", "items": [{"key": "k", "path": "p", "mode": 1}]}}]),
         "predictor default: spec.volumes.configMap.items.mode has no effect on the local cluster: a volume is a "
         "directory of this machine, with its user's rights and without a limit"),
        (in_seldon(livenessProbe={"httpGet": {"port": 1, "host": "elsewhere"}, "successThreshold": 1}),
         "predictor default: spec.containers.livenessProbe.httpGet.host has no effect on the local cluster: the "
         "processes share the machine's network and its names"),
    ],
)  # fmt: skip
def test_a_sentence_names_the_fields_and_the_reason(item: Object, sentence: str) -> None:
    assert told(item) == [sentence]


@pytest.mark.parametrize(
    "item",
    [
        in_pod(hostNetwork=False, affinity={}, nodeSelector=None, tolerations=[]),
        in_pod(dnsPolicy="ClusterFirst", schedulerName="default-scheduler", restartPolicy="Always"),
        in_seldon(terminationMessagePolicy="File", ports=[{"name": "http", "containerPort": 9000, "protocol": "TCP"}]),
        seldon() | {"spec": seldon()["spec"] | {"serverType": "rpc", "protocol": "seldon", "transport": "rest"}},
    ],
)
def test_what_asks_for_nothing_or_for_what_happens_anyway_is_not_told(item: Object) -> None:
    assert told(item) == []


@pytest.mark.parametrize("name", schema.resolve(schema.reference(POD))["properties"])
def test_no_field_of_a_pod_is_ignored_in_silence(name: str) -> None:
    known = {"containers", "initContainers", "restartPolicy", "terminationGracePeriodSeconds", "volumes"}
    assert bool(told(in_pod(**{name: SOMETHING} if name not in known else {}))) == (name not in known)


@pytest.mark.parametrize("name", schema.resolve(schema.reference(CONTAINER))["properties"])
def test_no_field_of_a_container_is_ignored_in_silence(name: str) -> None:
    known = {"name", "image", "command", "args", "workingDir", "env", "envFrom", "ports", "volumeMounts"}
    known |= {"startupProbe", "readinessProbe", "livenessProbe"}
    assert bool(told(in_seldon(**{name: SOMETHING} if name not in known else {}))) == (name not in known)


def test_what_is_said_to_be_read_is_in_the_schema() -> None:
    spec = schema.field(schema.schema_of(SELDON), "spec")
    assert spec
    _check(effects.SPEC, spec)
    _check(effects.PREDICTOR, schema.resolve(spec["properties"]["predictors"])["items"])


def _check(read: effects.Read, known: schema.Schema) -> None:
    known = schema.resolve(known)
    known = known.get("items", known)
    for name, inner in read.items():
        found = schema.field(known, name)
        assert found is not None, f"{name} is no field"
        _check(inner or {}, found)
