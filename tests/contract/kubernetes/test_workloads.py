"""What is refused in Deployments and Services."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.kubernetes.objects import Object, deployment, service, with_container, with_pod
from tests.contract.kubernetes.server import Namespace
from tests.contract.kubernetes.words import LABEL, SUBDOMAIN, VALUE

CONTAINER = "spec.template.spec.containers[0]"
ITEM = "spec.template.spec.volumes[0].secret.items[0]"
MOUNTING = {"name": "m", "image": "registry/image:v1", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}


def with_volume(**source: Any) -> Object:
    """A Deployment whose Pods have one volume."""
    return with_pod(volumes=[{"name": "v", **source}])


def with_items(*items: Object) -> Object:
    """A Deployment with a volume of some of a Secret's keys."""
    return with_volume(secret={"secretName": "s", "items": list(items)})


def with_source(**source: Any) -> Object:
    """A Deployment with a variable whose value comes from elsewhere."""
    return with_container(env=[{"name": "A", "valueFrom": source}])


def share(text: str) -> str:
    """How a faulty percentage is shown."""
    return f'Invalid value: intstr.IntOrString{{Type:1, IntVal:0, StrVal:"{text}"}}'


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (
            deployment("n", selector={"matchLabels": {"x": "y"}}),
            'spec.template.metadata.labels: Invalid value: map[string]string{"app":"n"}: `selector` does not match '
            "template `labels`",
        ),
        (deployment("n", replicas=-1), "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        (
            deployment("n", progressDeadlineSeconds=0),
            "spec.progressDeadlineSeconds: Invalid value: 0: must be greater than minReadySeconds",
        ),
        (
            deployment("n", strategy={"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}),
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (with_pod(containers=[]), "spec.template.spec.containers: Required value"),
        (
            with_pod(restartPolicy="Never"),
            'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
        ),
        (
            with_pod(containers=[{"name": "a", "image": "x"}, {"name": "a", "image": "y"}]),
            'spec.template.spec.containers[1].name: Duplicate value: "a"',
        ),
        (
            with_pod(volumes=[{"name": "x", "emptyDir": {}}, {"name": "x", "emptyDir": {}}]),
            'spec.template.spec.volumes[1].name: Duplicate value: "x"',
        ),
        (
            deployment(
                "n", selector={"matchLabels": {"app": "n"}, "matchExpressions": [{"key": "a", "operator": "No"}]}
            ),
            '[spec.selector.matchExpressions[0].operator: Invalid value: "No": not a valid selector operator, '
            'spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{"app":"n"}, '
            'MatchExpressions:[]v1.LabelSelectorRequirement{v1.LabelSelectorRequirement{Key:"a", Operator:"No", '
            "Values:[]string(nil)}}}: invalid label selector]",
        ),
        (with_container(image=None), f"{CONTAINER}.image: Required value"),
        (with_container(name="Bad_Name"), f'{CONTAINER}.name: Invalid value: "Bad_Name": {LABEL}'),
        (
            with_container(imagePullPolicy="Sometimes"),
            f'{CONTAINER}.imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", '
            '"Never"',
        ),
        (
            with_container(ports=[{"containerPort": 70000}]),
            f"{CONTAINER}.ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            with_container(env=[{"name": "a=b"}]),
            f'{CONTAINER}.env[0].name: Invalid value: "a=b": a valid environment variable name must consist only of '
            "printable ASCII characters other than '='",
        ),
        (
            with_container(volumeMounts=[{"name": "x", "mountPath": "/x"}]),
            f'{CONTAINER}.volumeMounts[0].name: Not found: "x"',
        ),
        (
            with_container(readinessProbe={"periodSeconds": 5}),
            f"{CONTAINER}.readinessProbe: Required value: must specify a handler type",
        ),
        (
            with_container(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}),
            f'{CONTAINER}.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
        ),
        (
            deployment("n", strategy={"rollingUpdate": {"maxSurge": "abc"}}),
            f"spec.strategy.rollingUpdate.maxSurge: {share('abc')}: a valid percent string must be a numeric string "
            "followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        ),
        (
            deployment("n", strategy={"rollingUpdate": {"maxUnavailable": "101%"}}),
            f"spec.strategy.rollingUpdate.maxUnavailable: {share('101%')}: must not be greater than 100%",
        ),
        (
            deployment("n", strategy={"rollingUpdate": {"maxSurge": -1}}),
            "spec.strategy.rollingUpdate.maxSurge: Invalid value: -1: must be greater than or equal to 0",
        ),
        (with_container(envFrom=[{"secretRef": {}}]), f"{CONTAINER}.envFrom[0].secretRef.name: Required value"),
        (
            with_container(envFrom=[{}]),
            f'{CONTAINER}.envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`',
        ),
        (with_source(fieldRef={}), f"{CONTAINER}.env[0].valueFrom.fieldRef.fieldPath: Required value"),
        (with_source(resourceFieldRef={}), f"{CONTAINER}.env[0].valueFrom.resourceFieldRef.resource: Required value"),
        (with_source(secretKeyRef={"name": "s"}), f"{CONTAINER}.env[0].valueFrom.secretKeyRef.key: Required value"),
        (
            with_source(secretKeyRef={"key": "k"}),
            f'{CONTAINER}.env[0].valueFrom.secretKeyRef.name: Invalid value: "": {SUBDOMAIN}',
        ),
        (with_volume(secret={}), "spec.template.spec.volumes[0].secret.secretName: Required value"),
        (with_volume(configMap={}), "spec.template.spec.volumes[0].configMap.name: Required value"),
        (
            with_volume(persistentVolumeClaim={"readOnly": True}),
            "spec.template.spec.volumes[0].persistentVolumeClaim.claimName: Required value",
        ),
        (with_items({"key": "k"}), f"{ITEM}.path: Required value"),
        (with_items({"key": "k", "path": "/x"}), f'{ITEM}.path: Invalid value: "/x": must be a relative path'),
        (with_items({"key": "k", "path": "a/../x"}), f"{ITEM}.path: Invalid value: \"a/../x\": must not contain '..'"),
        (with_items({"key": "k", "path": "..x"}), f"{ITEM}.path: Invalid value: \"..x\": must not start with '..'"),
        (
            with_pod(volumes=[{"name": "v", "secret": {}}], containers=[MOUNTING]),
            "[spec.template.spec.volumes[0].secret.secretName: Required value, "
            f'{CONTAINER}.volumeMounts[0].name: Not found: "v"]',
        ),
        (
            with_container(readinessProbe={"httpGet": {}}),
            f"{CONTAINER}.readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            with_container(livenessProbe={"httpGet": {"port": "http", "httpHeaders": [{}]}}),
            f'{CONTAINER}.livenessProbe.httpGet.httpHeaders: Invalid value: "": a valid HTTP header must consist of '
            "alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
        ),
        (with_pod(volumes=[None]), "spec.template.spec.volumes[0].name: Required value"),
        (with_container(env=[None]), f"{CONTAINER}.env[0].name: Required value"),
    ],
)
def test_deployments(shared: Namespace, item: Object, words: str) -> None:
    answer = shared.post("deployments.apps", item)
    assert (answer.status, answer.body["message"]) == (422, f'Deployment.apps "n" is invalid: {words}')
    assert answer.body["details"]["group"] == "apps"


def test_a_deployment_without_anything(shared: Namespace) -> None:
    answer = shared.post("deployments.apps", {"metadata": {"name": "n"}})
    assert answer.body["message"] == (
        'Deployment.apps "n" is invalid: [spec.selector: Required value, spec.template.metadata.labels: Invalid value: '
        "map[string]string(nil): `selector` does not match template `labels`, spec.template.spec.containers: Required "
        "value]"
    )


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (service("n", ports=[]), "spec.ports: Required value"),
        (
            service("n", ports=[{"port": 0}]),
            "[spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive, spec.ports[0].targetPort: "
            "Invalid value: 0: must be between 1 and 65535, inclusive]",
        ),
        (
            service("n", ports=[{}]),
            "[spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive, spec.ports[0].targetPort: "
            "Invalid value: 0: must be between 1 and 65535, inclusive]",
        ),
        (
            service("n", ports=[{"port": 80}, {"port": 81}]),
            "[spec.ports[0].name: Required value, spec.ports[1].name: Required value]",
        ),
        (
            service("n", type="Bogus"),
            'spec.type: Unsupported value: "Bogus": supported values: "ClusterIP", "ExternalName", "LoadBalancer", '
            '"NodePort"',
        ),
        (service("n", selector={"a": "b c"}), f'spec.selector: Invalid value: "b c": {VALUE}'),
    ],
)
def test_services(shared: Namespace, item: Object, words: str) -> None:
    answer = shared.post("services", item)
    assert (answer.status, answer.body["message"]) == (422, f'Service "n" is invalid: {words}')
