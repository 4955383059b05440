"""What the decoder refuses in an object, and how: fields of a wrong type, texts that do not say what they should, and
fields that are unknown or repeated."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.kubernetes.objects import (
    Object,
    config_map,
    deployment,
    event,
    in_seldon,
    secret,
    seldon,
    service,
    with_container,
    with_pod,
)
from tests.contract.kubernetes.server import Namespace, failure
from tests.contract.kubernetes.words import QUANTITY

SELDON = "seldondeployments.machinelearning.seldon.io"
POD = "spec.predictors[0].componentSpecs[0].spec"


@pytest.mark.parametrize(
    ("resource", "item", "words"),
    [
        ("configmaps", config_map("n", {"a": 1}), "number into Go struct field ConfigMap.data of type string"),
        ("configmaps", config_map("n", ["a"]), "array into Go struct field ConfigMap.data of type map[string]string"),
        (
            "configmaps",
            config_map("n", labels={"a": 1}),
            "number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            "configmaps",
            config_map("n") | {"metadata": 3},
            "number into Go struct field ConfigMap.metadata of type v1.ObjectMeta",
        ),
        (
            "configmaps",
            config_map("n") | {"immutable": "yes"},
            "string into Go struct field ConfigMap.immutable of type bool",
        ),
        (
            "deployments.apps",
            deployment("n", replicas="two"),
            "string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "deployments.apps",
            deployment("n", replicas=1.5),
            "number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "deployments.apps",
            deployment("n", template="x"),
            "string into Go struct field DeploymentSpec.spec.template of type v1.PodTemplateSpec",
        ),
        (
            "deployments.apps",
            deployment("n", strategy="x"),
            "string into Go struct field DeploymentSpec.spec.strategy of type v1.DeploymentStrategy",
        ),
        (
            "deployments.apps",
            deployment("n", strategy={"rollingUpdate": {"maxSurge": 1.5}}),
            "number 1.5 into Go struct field RollingUpdateDeployment.spec.strategy.rollingUpdate.maxSurge of type "
            "int32",
        ),
        (
            "deployments.apps",
            deployment("n", selector={"matchExpressions": "x"}),
            "string into Go struct field LabelSelector.spec.selector.matchExpressions of type "
            "[]v1.LabelSelectorRequirement",
        ),
        (
            "deployments.apps",
            with_container(envFrom=["x"]),
            "string into Go struct field Container.spec.template.spec.containers.envFrom of type v1.EnvFromSource",
        ),
        (
            "deployments.apps",
            with_container(env=[{"name": "A", "valueFrom": "x"}]),
            "string into Go struct field EnvVar.spec.template.spec.containers.env.valueFrom of type v1.EnvVarSource",
        ),
        (
            "deployments.apps",
            with_container(readinessProbe={"httpGet": "x"}),
            "string into Go struct field Probe.spec.template.spec.containers.readinessProbe.httpGet of type "
            "v1.HTTPGetAction",
        ),
        (
            "configmaps",
            config_map("n", ownerReferences="x"),
            "string into Go struct field ObjectMeta.metadata.ownerReferences of type []v1.OwnerReference",
        ),
        ("events", event(lastTimestamp=5), "number into Go struct field Event.lastTimestamp of type string"),
        (
            "events",
            event(involvedObject="x"),
            "string into Go struct field Event.involvedObject of type v1.ObjectReference",
        ),
        (
            "deployments.apps",
            with_pod(containers={"a": 1}),
            "object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        (
            "deployments.apps",
            with_container(ports=[{"containerPort": "80"}]),
            "string into Go struct field ContainerPort.spec.template.spec.containers.ports.containerPort of type int32",
        ),
        (
            "deployments.apps",
            with_container(env=[{"name": "A", "value": 1}]),
            "number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string",
        ),
        (
            "deployments.apps",
            with_container(lifecycle={"preStop": {"sleep": {"seconds": "5"}}}),
            "string into Go struct field SleepAction.spec.template.spec.containers.lifecycle.preStop.sleep.seconds of "
            "type int64",
        ),
        (
            "deployments.apps",
            with_container(securityContext={"runAsUser": 1 << 63}),
            f"number {1 << 63} into Go struct field SecurityContext.spec.template.spec.containers.securityContext."
            "runAsUser of type int64",
        ),
        (
            "deployments.apps",
            with_container(resizePolicy="x"),
            "string into Go struct field Container.spec.template.spec.containers.resizePolicy of type "
            "[]v1.ContainerResizePolicy",
        ),
        (
            "deployments.apps",
            with_pod(
                affinity={"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": "1"}]}}
            ),
            "string into Go struct field WeightedPodAffinityTerm.spec.template.spec.affinity.podAntiAffinity."
            "preferredDuringSchedulingIgnoredDuringExecution.weight of type int32",
        ),
        (
            "deployments.apps",
            with_pod(tolerations=["x"]),
            "string into Go struct field PodSpec.spec.template.spec.tolerations of type v1.Toleration",
        ),
        (
            "deployments.apps",
            with_pod(topologySpreadConstraints=[{"labelSelector": {"matchLabels": {"a": 1}}}]),
            "number into Go struct field LabelSelector.spec.template.spec.topologySpreadConstraints.labelSelector."
            "matchLabels of type string",
        ),
        (
            "deployments.apps",
            with_pod(hostAliases=[{"hostnames": "x"}]),
            "string into Go struct field HostAlias.spec.template.spec.hostAliases.hostnames of type []string",
        ),
        (
            "deployments.apps",
            with_pod(securityContext={"supplementalGroups": ["1"]}),
            "string into Go struct field PodSecurityContext.spec.template.spec.securityContext.supplementalGroups of "
            "type int64",
        ),
        (
            "deployments.apps",
            with_pod(overhead="x"),
            "string into Go struct field PodSpec.spec.template.spec.overhead of type v1.ResourceList",
        ),
        (
            "deployments.apps",
            with_pod(ephemeralContainers=[{"image": 1}]),
            "number into Go struct field EphemeralContainer.spec.template.spec.ephemeralContainers.image of type "
            "string",
        ),
        (
            "deployments.apps",
            with_pod(volumes=[{"name": "v", "projected": {"sources": "x"}}]),
            "string into Go struct field ProjectedVolumeSource.spec.template.spec.volumes.projected.sources of type "
            "[]v1.VolumeProjection",
        ),
        (
            "deployments.apps",
            with_pod(volumes=[{"name": "v", "ephemeral": {"volumeClaimTemplate": {"metadata": {"labels": "x"}}}}]),
            "string into Go struct field ObjectMeta.spec.template.spec.volumes.ephemeral.volumeClaimTemplate.metadata."
            "labels of type map[string]string",
        ),
        (
            "services",
            service(sessionAffinityConfig={"clientIP": {"timeoutSeconds": "x"}}),
            "string into Go struct field ClientIPConfig.spec.sessionAffinityConfig.clientIP.timeoutSeconds of type "
            "int32",
        ),
        (
            "deployments.apps",
            deployment("n") | {"status": {"replicas": "x"}},
            "string into Go struct field DeploymentStatus.status.replicas of type int32",
        ),
        ("secrets", secret("n", data={"a": 1}), "number into Go struct field Secret.data of type []uint8"),
        ("events", event(eventTime=5), "number into Go struct field Event.eventTime of type string"),
    ],
)
def test_fields_of_a_wrong_type(shared: Namespace, resource: str, item: Object, words: str) -> None:
    answer = shared.post(resource, item)
    kind = item["kind"]
    message = f'{kind} in version "v1" cannot be handled as a {kind}: json: cannot unmarshal {words}'
    assert (answer.status, answer.body) == (400, failure(message, "BadRequest", 400))


@pytest.mark.parametrize(
    ("resource", "item", "words"),
    [
        ("secrets", secret("n", data={"a": "?"}), "illegal base64 data at input byte 0"),
        ("secrets", secret("n", data={"a": "abcd?"}), "illegal base64 data at input byte 4"),
        ("configmaps", config_map("n") | {"binaryData": {"b": "abc"}}, "illegal base64 data at input byte 0"),
        ("deployments.apps", with_container(resources={"limits": {"cpu": "abc"}}), QUANTITY),
        ("deployments.apps", with_pod(volumes=[{"name": "x", "emptyDir": {"sizeLimit": "abc"}}]), QUANTITY),
        (
            "events",
            event(lastTimestamp="yesterday"),
            'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"',
        ),
        (
            "events",
            event(lastTimestamp="2024-02-31T00:00:00Z"),
            'parsing time "2024-02-31T00:00:00Z": day out of range',
        ),
        (
            "events",
            event(eventTime="2024-01-01T00:00:00Z"),
            'parsing time "2024-01-01T00:00:00Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000"',
        ),
        ("deployments.apps", with_pod(volumes=[{"name": "v", "emptyDir": {"sizeLimit": "abc"}}]), QUANTITY),
        ("deployments.apps", with_pod(overhead={"cpu": "abc"}), QUANTITY),
    ],
)
def test_texts_that_do_not_say_what_they_should(shared: Namespace, resource: str, item: Object, words: str) -> None:
    answer = shared.post(resource, item)
    message = f'{item["kind"]} in version "v1" cannot be handled as a {item["kind"]}: {words}'
    assert (answer.status, answer.body["message"]) == (400, message)


@pytest.mark.parametrize(
    ("resource", "item", "faults"),
    [
        ("configmaps", config_map("n", bogus=1) | {"zog": {}}, 'unknown field "metadata.bogus", unknown field "zog"'),
        ("deployments.apps", with_container(imagee="x"), 'unknown field "spec.template.spec.containers[0].imagee"'),
        (
            "deployments.apps",
            with_container(lifecycle={"foo": 1}, securityContext={"runAsUserr": 1}),
            'unknown field "spec.template.spec.containers[0].lifecycle.foo", '
            'unknown field "spec.template.spec.containers[0].securityContext.runAsUserr"',
        ),
        (
            "deployments.apps",
            with_pod(
                dnsConfig={"foo": 1},
                imagePullSecrets=[{"name": "x", "nam": "x"}],
                hostAliases=[{"ip": "127.0.0.1", "ipp": 1}],
            ),
            'unknown field "spec.template.spec.dnsConfig.foo", '
            'unknown field "spec.template.spec.imagePullSecrets[0].nam", '
            'unknown field "spec.template.spec.hostAliases[0].ipp"',
        ),
        ("services", service() | {"status": {"bogus": 1}}, 'unknown field "status.bogus"'),
        (
            "configmaps",
            config_map("n", managedFields=[{"bogus": 1}]),
            'unknown field "metadata.managedFields[0].bogus"',
        ),
        (SELDON, seldon("n", bogus=1), 'unknown field "spec.predictors[0].bogus"'),
        (SELDON, in_seldon(lifecycle={"foo": 1}), f'unknown field "{POD}.containers[0].lifecycle.foo"'),
        (
            "configmaps",
            '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"n"},"data":{"a":"1","a":"2"},"data":{}}',
            'duplicate field "data.a", duplicate field "data"',
        ),
    ],
)
def test_unknown_and_repeated_fields(namespace: Namespace, resource: str, item: Any, faults: str) -> None:
    kind = "ConfigMap" if isinstance(item, str) else item["kind"]
    strict = namespace.post(resource, item, "?fieldValidation=Strict")
    message = f'{kind} in version "v1" cannot be handled as a {kind}: strict decoding error: {faults}'
    assert (strict.status, strict.body) == (400, failure(message, "BadRequest", 400))
    ignored = namespace.post(resource, item, "?fieldValidation=Ignore&dryRun=All")
    assert (ignored.status, ignored.warnings) == (201, [])
    warned = namespace.post(resource, item)
    assert warned.status == 201
    assert len(warned.warnings) == faults.count(" field ")
    assert warned.warnings[0].startswith('299 - "')
