"""install.sh: what it calls in which order, where it stops, and where the secrets go."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.release import access
from tests.deploy.cluster.installation import PLAIN, SECRETS, Installation, releases

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("install")]


@dataclass(frozen=True)
class Installed:
    """After `install` and `clients`."""

    installation: Installation
    calls: list[str]
    said: str


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, kubectl: Path) -> Installed:
    installation = Installation(tmp_path_factory.mktemp("installed"), kubectl)
    runs = [installation.run("install"), installation.run("clients")]
    assert [run.returncode for run in runs] == [0, 0], runs
    return Installed(installation, installation.calls(), "".join(run.stdout + run.stderr for run in runs))


def test_each_release_is_installed_in_order_and_checked_before_the_next(installed: Installed) -> None:
    installation, calls = installed.installation, installed.calls
    upgrades = [call for call in calls if call.startswith("helm upgrade --install")]
    assert [call.split()[3] for call in upgrades] == [each["release"] for each in releases()]
    for call, each in zip(upgrades, releases(), strict=True):
        assert f"--namespace {each['namespace']}" in call
        assert f"--values {installation.cluster / 'values' / each['release']}.yaml --values -" in call
    checks = [
        "kubectl wait --for=condition=Established crd/gateways.networking.istio.io",
        "kubectl rollout status deployment/istiod",
        "kubectl wait --for=jsonpath={.status.loadBalancer.ingress} service/istio-ingressgateway",
        "kubectl rollout status deployment/seldon-controller-manager",
        "kubectl rollout status deployment/pachd",
        "kubectl get --raw /api/v1/namespaces/determined/services",
    ]
    for check, before, after in zip(checks, upgrades, [*upgrades[1:], "kubectl apply -k"], strict=True):
        places = [next(i for i, call in enumerate(calls) if call.startswith(each)) for each in (before, check, after)]
        assert places == sorted(places)
    assert any(call.startswith("kubectl apply --dry-run=server -k") for call in calls)
    assert f"kubectl apply -f {installation.cluster / 'deployer.yaml'}" in calls


def test_nothing_follows_a_release_that_does_not_work(installation: Installation) -> None:
    done = installation.run("install", BROKEN="rollout status deployment/pachyderm-proxy")
    assert done.returncode == 1
    assert "pachyderm is installed but does not work; kubectl get pods -n pachyderm" in done.stderr
    assert "helm upgrade --install determined" not in "\n".join(installation.calls())
    (installation.record / "calls").unlink()
    assert installation.run("install", BROKEN="helm upgrade --install istio-base").returncode == 1
    assert "crd/gateways" not in "\n".join(installation.calls())


def test_a_named_release_is_installed_alone(installation: Installation) -> None:
    assert installation.run("install", "seldon-core").returncode == 0
    installed = [call.split()[3] for call in installation.calls() if call.startswith("helm upgrade")]
    assert installed == ["seldon-core"]


def test_a_release_that_there_is_not_is_refused(installation: Installation) -> None:
    done = installation.run("install", "seldon-core", "seldn-core")
    assert done.returncode == 1
    assert "charts.txt has no release seldn-core" in done.stderr
    assert installation.calls() == []


@pytest.mark.parametrize("token", ["PACHYDERM_ROBOT_TOKEN", "PACHYDERM_FEEDBACK_TOKEN"])
def test_without_a_token_nobody_gets_a_secret(installation: Installation, token: str) -> None:
    done = installation.run("clients", **{token: ""})
    assert done.returncode == 1
    assert f"{token} is not set" in done.stderr
    assert installation.calls() == []


def test_feedbacks_own_secret_takes_the_place_of_a_releases(installed: Installed) -> None:
    """Server-side apply would refuse what another client made; by its label the next release would take it back."""
    label = "=".join(*access.OWNER.items())
    given_up = f"kubectl delete secret -n default -l {label} --field-selector=metadata.name={access.SECRET}"
    made = next(call for call in installed.calls if f"create secret generic {access.SECRET}" in call)
    assert installed.calls.index(given_up) < installed.calls.index(made)


def test_secrets_are_read_from_variables_and_written_nowhere(installed: Installed) -> None:
    installation = installed.installation
    said = "\n".join([*installed.calls, installed.said])
    files = [path for path in installation.cluster.parents[1].rglob("*") if path.is_file()]
    # What the stand-ins read from standard input is no file of the script.
    files = [path for path in files if path.parent != installation.record]
    for name, secret in SECRETS.items():
        assert secret not in said, name
        assert not [path for path in files if secret.encode() in path.read_bytes()], name
    objects = {(each["metadata"].get("namespace"), each["metadata"]["name"]): each for each in installation.applied()}
    credentials = {
        k: base64.b64decode(v).decode() for k, v in objects["pachyderm", "pachyderm-credentials"]["data"].items()
    }
    assert credentials == {
        "root-token": SECRETS["PACHYDERM_ROOT_TOKEN"],
        "pachd-oauth-client-secret": SECRETS["PACHYDERM_OAUTH_SECRET"],
        "postgresql-password": SECRETS["PACHYDERM_DB_PASSWORD"],
        "postgresql-postgres-password": SECRETS["PACHYDERM_DB_PASSWORD"],
        "upstream-idps": "[]",
    }
    for namespace in ("default", "fashion-mnist-staging", "pachyderm", "determined"):
        pull = objects[namespace, "registry"]
        assert pull["type"] == "kubernetes.io/dockerconfigjson"
        login = json.loads(base64.b64decode(pull["data"][".dockerconfigjson"]))["auths"]["registry.internal"]["auth"]
        assert base64.b64decode(login).decode() == f"{SECRETS['REGISTRY_USER']}:{SECRETS['REGISTRY_PASSWORD']}"
    for namespace, name, token in (
        ("determined", "pachyderm-client", "PACHYDERM_ROBOT_TOKEN"),
        ("default", access.SECRET, "PACHYDERM_FEEDBACK_TOKEN"),
    ):
        made = objects[namespace, name]
        client = json.loads(base64.b64decode(made["data"]["config.json"]))
        assert client["v2"]["contexts"][client["v2"]["active_context"]] == {
            "pachd_address": "grpc://pachd.pachyderm:30650",
            "session_token": SECRETS[token],
        }
        assert not access.OWNER.items() <= (made["metadata"].get("labels") or {}).items(), "a release would replace it"


def test_helm_gets_what_is_yours_by_standard_input(installed: Installed) -> None:
    installation = installed.installation
    storage = installation.values("pachyderm")["pachd"]["storage"]
    assert storage["storageURL"] == "s3://pachyderm?region=eu-central-1&endpoint=https://storage.internal:9000"
    assert storage["amazon"]["secret"] == SECRETS["S3_SECRET_KEY"]
    determined = installation.values("determined")
    assert determined["initialUserPassword"] == SECRETS["DETERMINED_PASSWORD"]
    assert determined["taskContainerDefaults"]["cpuImage"] == PLAIN["TRIAL_IMAGE"]
    assert determined["checkpointStorage"]["secretKey"] == SECRETS["S3_SECRET_KEY"]
    assert installation.values("istiod") == {}


def test_nothing_is_touched_before_everything_is_there(installation: Installation) -> None:
    cases = [
        ({"S3_SECRET_KEY": "", "REGISTRY": ""}, "not set: S3_SECRET_KEY REGISTRY;"),
        ({"DETERMINED_PASSWORD": 'a"b'}, "DETERMINED_PASSWORD may have neither quotes"),
        ({"REGISTRY": "a\nb"}, "REGISTRY may have neither quotes"),
        ({"S3_REGION": "Zürich"}, "S3_REGION may have neither quotes, backslashes, line breaks nor characters outside"),
        ({"PACHYDERM_IDPS": '[{"type": "github",\n"clientSecret": "idp-canary"}]'}, "PACHYDERM_IDPS has to be one"),
        ({"CHARTS": "/nowhere"}, "/nowhere/base is not there, istio-base needs 1.30.3: run make cluster-charts"),
        ({"BROKEN": "get --raw /version"}, "the cluster in KUBECONFIG does not answer"),
        ({"MINOR": "31"}, "the cluster is Kubernetes 1.31; Istio 1.30 needs 1.32 or newer"),
        ({"BROKEN": "get storageclass"}, "no default StorageClass"),
    ]
    for variables, words in cases:
        done = installation.run("install", **variables)
        assert done.returncode == 1
        assert words in done.stderr
        assert "idp-canary" not in done.stdout + done.stderr
    site = installation.cluster / "ingress" / "site.yaml"
    site.write_text(site.read_text().replace("example.org", "example.com"))
    assert "still example.com's" in installation.run("install").stderr
    site.write_text(site.read_text().replace("example.com", "example.org"))
    policy = installation.cluster.parent / "overlays" / "production" / "networkpolicy.yaml"
    policy.write_text(policy.read_text().replace("198.51.100.0/28", "192.0.2.0/24"))
    assert "addresses are still 192.0.2.0/24" in installation.run("install").stderr
    assert not [call for call in installation.calls() if "apply" in call or call.startswith("helm upgrade")]


def test_a_chart_of_another_version_is_refused(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "charts" / "determined" / "Chart.yaml").write_text("version: 0.37.0\n")
    done = installation.run("install")
    assert "determined is 0.37.0, determined needs 0.38.1" in done.stderr
    assert done.returncode == 1


def test_pull_brings_the_pinned_versions(installation: Installation) -> None:
    assert installation.run("pull").returncode == 0
    wanted = [
        f"helm pull {each['chart']} --repo {each['repository']} --version {each['version']}" for each in releases()
    ]
    assert [call.partition(" --untar")[0] for call in installation.calls()] == wanted
