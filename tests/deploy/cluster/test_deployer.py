"""deployer.yaml: the service account of a pipeline may do what a release does, and little else."""

from __future__ import annotations

from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from deploy.release import access, history, manifest
from tests.deploy.cluster.installation import CLUSTER

DOCUMENTS: list[dict[str, Any]] = list(yaml.safe_load_all((CLUSTER / "deployer.yaml").read_text()))
PLURALS = {
    "SeldonDeployment": "seldondeployments",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "NetworkPolicy": "networkpolicies",
    "PeerAuthentication": "peerauthentications",
    "AuthorizationPolicy": "authorizationpolicies",
    "RequestAuthentication": "requestauthentications",
    "Gateway": "gateways",
    "Namespace": "namespaces",
}
PRODUCTION, STAGING, DOOR = "default", "fashion-mnist-staging", "istio-system"


def rules(namespace: str | None) -> list[dict[str, Any]]:
    """What the account may do in a namespace; None: with objects that have none."""
    roles = {(each["kind"], each["metadata"]["name"]): each for each in DOCUMENTS if "rules" in each}
    bindings = [
        each
        for each in DOCUMENTS
        if each["kind"] == ("RoleBinding" if namespace else "ClusterRoleBinding")
        and each["metadata"].get("namespace") == namespace
    ]
    for each in bindings:
        assert each["subjects"] == [{"kind": "ServiceAccount", "name": "deployer", "namespace": "default"}]
    named = [roles[each["roleRef"]["kind"], each["roleRef"]["name"]] for each in bindings]
    return [rule for role in named for rule in role["rules"]]


def allowed(namespace: str | None, verb: str, group: str, resource: str, name: str = "") -> bool:
    """As Kubernetes' authorizer decides: an object's name is not known when it is created or listed."""
    return any(
        group in rule["apiGroups"]
        and resource in rule["resources"]
        and verb in rule["verbs"]
        and ("resourceNames" not in rule or name in rule["resourceNames"])
        for rule in rules(namespace)
    )


def test_every_object_is_one_that_kubernetes_takes() -> None:
    for each in DOCUMENTS:
        kubernetes_validate.validate(each, "1.32", strict=True)


@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_it_may_apply_what_the_overlays_hold(overlay: str) -> None:
    for each in manifest.read_overlay(overlay):
        group, name = each["apiVersion"].rpartition("/")[0], each["metadata"]["name"]
        namespace = each["metadata"].get("namespace")
        # The namespace itself is the administrator's to make: namespaces.yaml.
        verbs = ("get", "patch") if each["kind"] == "Namespace" else ("get", "create", "patch")
        for verb in verbs:
            known = "" if verb == "create" else name
            assert allowed(namespace, verb, group, PLURALS[each["kind"]], known), (verb, each["kind"], namespace)


@pytest.mark.parametrize("namespace", [PRODUCTION, STAGING])
def test_it_may_do_what_a_release_asks_of_the_cluster(namespace: str) -> None:
    asked = [
        *((verb, "machinelearning.seldon.io", "seldondeployments", "") for verb in ("list", "watch", "delete")),
        ("list", "apps", "deployments", ""),
        *(("list", "", resource, "") for resource in ("pods", "events")),
        ("get", "", "pods/log", "any"),
        *((verb, "", "pods/proxy", "any") for verb in ("get", "create")),
        *(("create", "", resource, "") for resource in ("configmaps", "secrets")),
        *((verb, "", "configmaps", history.NAME) for verb in ("get", "update")),
        *((verb, "", "secrets", access.SECRET) for verb in ("get", "update")),
    ]
    for verb, group, resource, name in asked:
        assert allowed(namespace, verb, group, resource, name), (verb, resource)
    assert allowed(DOOR, "get", "", "services", "istio-ingressgateway")


def test_it_may_read_no_other_secret_and_give_nobody_rights() -> None:
    for namespace in (PRODUCTION, STAGING, DOOR, None):
        assert not allowed(namespace, "list", "", "secrets")
        assert not allowed(namespace, "get", "", "secrets", "registry")
        assert all("*" not in rule[part] for rule in rules(namespace) for part in ("apiGroups", "resources", "verbs"))
        assert not any("rbac.authorization.k8s.io" in rule["apiGroups"] for rule in rules(namespace))
