"""The genuine charts rendered with our values: valid objects, no default password, and everything that refers to
something finds it.  The charts' CustomResourceDefinitions also check our overlays.

The charts are nobody's to copy: they are in `$CHARTS` or build/charts (make cluster-charts) or these tests are skipped.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from deploy.release import ingress, manifest
from tests.deploy.cluster.crds import Schemas
from tests.deploy.cluster.installation import CLUSTER, SECRETS, Installation, releases
from tests.deploy.cluster.test_values import leaves

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("charts")]

KUBERNETES = "1.32"
OVERLAYS = ("staging", "production")
FREE = {("istiod", ("meshConfig",))}
"""Handed on by the chart as a whole, whatever is in it."""
Objects = list[dict[str, Any]]


@pytest.fixture(scope="module")
def rendered(charts: Path, helm: Path, kubectl: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Objects]:
    """The objects of each release, with the values that the script gives helm."""
    installation = Installation(tmp_path_factory.mktemp("rendered"), kubectl)
    assert installation.run("install").returncode == 0
    found = {}
    for each in releases():
        name, chart = each["release"], charts / each["chart"]
        about = yaml.safe_load((chart / "Chart.yaml").read_text())
        assert about["version"] == each["version"], f"{chart} is of another version: make cluster-charts"
        command = [
            str(helm),
            "template",
            name,
            str(chart),
            "--namespace",
            each["namespace"],
            "--kube-version",
            f"{KUBERNETES}.0",
        ]
        command += ["--include-crds", "--values", str(CLUSTER / "values" / f"{name}.yaml")]
        command += ["--values", str(installation.record / f"values.{name}")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        found[name] = [item for item in yaml.load_all(done.stdout, yaml.CSafeLoader) if item]
    return found


@pytest.fixture(scope="module")
def schemas(rendered: dict[str, Objects]) -> Schemas:
    return Schemas(each for objects in rendered.values() for each in objects)


@pytest.fixture(scope="module")
def pods(rendered: dict[str, Objects]) -> dict[tuple[str, str], dict[str, Any]]:
    """The pod templates, by release and name of the workload."""
    return {
        (release, each["metadata"]["name"]): each["spec"]["template"]
        for release, objects in rendered.items()
        for each in objects
        if each["kind"] in ("Deployment", "StatefulSet", "DaemonSet")
    }


def test_every_object_is_one_that_kubernetes_takes(rendered: dict[str, Objects]) -> None:
    for objects in rendered.values():
        for each in objects:
            if each["kind"] != "CustomResourceDefinition":
                kubernetes_validate.validate(each, KUBERNETES, strict=True)


def test_the_charts_read_every_value_that_we_set(charts: Path) -> None:
    for each in releases():
        chart = charts / each["chart"]
        defaults = yaml.safe_load((chart / "values.yaml").read_text())
        defaults = defaults.get("_internal_defaults_do_not_set", defaults)
        templates = "\n".join(path.read_text(errors="replace") for path in _templates(chart))
        for path, _ in leaves(yaml.safe_load((CLUSTER / "values" / f"{each['release']}.yaml").read_text())):
            free = any((each["release"], path[:length]) in FREE for length in range(1, len(path)))
            assert free or _is_read(path, defaults, templates), f"{each['release']}: nothing reads {'.'.join(path)}"


def test_no_password_of_a_chart_is_left(rendered: dict[str, Objects]) -> None:
    text = json.dumps(rendered["pachyderm"] + rendered["determined"]).replace('\\"', "")
    for known in ("insecure-", "mockPassword", "password: postgres", "password: password"):
        assert known not in text
    # Determined's chart gives its own database the password as a variable; no other secret is outside of a Secret.
    for release, objects in rendered.items():
        for each in objects:
            if each["kind"] == "Secret":
                continue
            text = json.dumps(each)
            seen = {name for name, secret in SECRETS.items() if secret in text}
            expected = {"DETERMINED_DB_PASSWORD"} if each["metadata"]["name"].startswith("determined-db-dep") else set()
            assert seen == expected, (release, each["kind"], each["metadata"]["name"])


def test_every_secret_that_is_referred_to_exists(
    rendered: dict[str, Objects], pods: dict[tuple[str, str], dict[str, Any]], installation: Installation
) -> None:
    assert installation.run("install").returncode == 0
    ours: dict[tuple[str, str], set[str]] = {}
    for each in installation.applied():
        ours[each["metadata"]["namespace"], each["metadata"]["name"]] = set(each["data"])
    namespaces = {each["release"]: each["namespace"] for each in releases()}
    for release, objects in rendered.items():
        for each in objects:
            if each["kind"] == "Secret":
                keys = {*(each.get("data") or {}), *(each.get("stringData") or {})}
                ours[namespaces[release], each["metadata"]["name"]] = keys
    # Made by the programs themselves once they run.
    made = {"cacerts", "istio-kubeconfig", "istiod-tls", "istio-ca-root-cert", "pachyderm-pjs-worker-authentication"}
    for (release, workload), template in pods.items():
        for name, keys in _referred(template["spec"]):
            if name not in made:
                assert (namespaces[release], name) in ours, (workload, name)
                assert keys <= ours[namespaces[release], name], (workload, name)


def test_what_the_script_waits_for_is_what_the_charts_make(rendered: dict[str, Objects]) -> None:
    script = (CLUSTER / "install.sh").read_text()
    namespaces = {each["release"]: each["namespace"] for each in releases()}
    made = {
        (namespaces[release], each["metadata"]["name"])
        for release, objects in rendered.items()
        for each in objects
        if each["kind"] == "Deployment"
    }
    waited = set(re.findall(r"is_rolled_out ([a-z-]+) ([a-z-]+)", script))
    assert len(waited) == 6
    assert waited <= made
    names = {each["metadata"]["name"] for objects in rendered.values() for each in objects}
    assert {"gateways.networking.istio.io", "determined-master-service-determined"} <= names


def test_the_gateway_is_the_one_that_the_project_speaks_of(
    rendered: dict[str, Objects], pods: dict[tuple[str, str], dict[str, Any]], kubectl: Path
) -> None:
    (service,) = (each for each in rendered["istio-ingressgateway"] if each["kind"] == "Service")
    assert (service["metadata"]["namespace"], service["metadata"]["name"]) == ("istio-system", "istio-ingressgateway")
    assert set(ingress._PORTS) & {port["name"] for port in service["spec"]["ports"]}
    pod = pods["istio-ingressgateway", "istio-ingressgateway"]
    production = manifest.read_overlay("production")
    by_name = {(each["kind"], each["metadata"]["name"]): each["spec"] for each in production}
    gateway = by_name["Gateway", "seldon-gateway"]
    for selector in (
        gateway["selector"],
        by_name["RequestAuthentication", "fashion-classifier"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= pod["metadata"]["labels"].items()
    callers = by_name["AuthorizationPolicy", "fashion-classifier-callers"]["rules"][0]["from"][0]["source"]
    assert callers["principals"] == [f"cluster.local/ns/istio-system/sa/{pod['spec']['serviceAccountName']}"]
    network = by_name["NetworkPolicy", "fashion-classifier"]
    assert network["ingress"][1]["from"][0]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    istiod = pods["istiod", "istiod"]["metadata"]["labels"]
    assert network["egress"][1]["to"][0]["podSelector"]["matchLabels"].items() <= istiod.items()
    (operator,) = pods["seldon-core", "seldon-controller-manager"]["spec"]["containers"]
    variables = {each["name"]: each.get("value") for each in operator["env"]}
    assert variables["ISTIO_GATEWAY"] == "istio-system/seldon-gateway"
    assert variables["ISTIO_ENABLED"] == "true"
    assert variables["ISTIO_TLS_MODE"] == ""


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_overlays_fit_the_schemas_of_istio_and_seldon(overlay: str, schemas: Schemas, kubectl: Path) -> None:
    objects = [each for each in manifest.read_overlay(overlay) if each in schemas]
    kinds = {"SeldonDeployment"}
    if overlay == "production":
        kinds |= {"Gateway", "RequestAuthentication", "AuthorizationPolicy", "PeerAuthentication"}
    assert {each["kind"] for each in objects} == kinds
    for each in objects:
        schemas.check(each)


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("SeldonDeployment", lambda spec: spec["predictors"][0].update(trafic=100)),
        ("SeldonDeployment", lambda spec: spec["predictors"][0]["componentSpecs"][0]["spec"].update(nodeSelctor={})),
        ("AuthorizationPolicy", lambda spec: spec["rules"][0].update(form=[])),
        ("PeerAuthentication", lambda spec: spec["mtls"].update(mode="STRONG")),
    ],
)
def test_the_schemas_refuse_a_slip(
    kind: str, spoil: Callable[[dict[str, Any]], None], schemas: Schemas, kubectl: Path
) -> None:
    each = next(each for each in manifest.read_overlay("production") if each["kind"] == kind)
    spoil(each["spec"])
    with pytest.raises(jsonschema.ValidationError):
        schemas.check(each)


def _templates(chart: Path) -> Iterator[Path]:
    for path in chart.rglob("templates/**/*"):
        if path.is_file():
            yield path


def _is_read(path: tuple[str, ...], defaults: Any, templates: str) -> bool:
    """Whether the chart has a default for the value, leaves its list or mapping open, or names it in a template."""
    known = defaults
    for length, name in enumerate(path, start=1):
        if isinstance(known, dict) and name in known:
            known = known[name]
        elif known not in ({}, []):
            return re.search(rf"Values\.{re.escape('.'.join(path[:length]))}\b", templates) is not None
    return True


def _referred(pod: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """Names of the Secrets that a pod needs, with the keys that it names."""
    for each in pod.get("imagePullSecrets") or []:
        yield each["name"], set()
    for volume in pod.get("volumes") or []:
        secret = volume.get("secret") or {}
        if secret and not secret.get("optional"):
            yield secret["secretName"], {item["key"] for item in secret.get("items") or []}
    for container in [*pod["containers"], *(pod.get("initContainers") or [])]:
        for variable in container.get("env") or []:
            if reference := (variable.get("valueFrom") or {}).get("secretKeyRef"):
                yield reference["name"], {reference["key"]}
