"""deploy/cluster/install.sh, run in a copy of deploy/ with programs in the place of helm and of what asks a cluster.

kubectl is the genuine one where it needs no cluster (kustomize, making a Secret); everything else is written down and
answered as a healthy cluster would.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from deploy.release.files import REPOSITORY

CLUSTER = REPOSITORY / "deploy" / "cluster"
SECRETS = {
    "PACHYDERM_ROOT_TOKEN": "root-token-canary",
    "PACHYDERM_OAUTH_SECRET": "oauth-canary",
    "PACHYDERM_DB_PASSWORD": "pach-db-canary",
    "DETERMINED_DB_PASSWORD": "det-db-canary",
    "DETERMINED_PASSWORD": "Password4canary",
    "S3_ACCESS_KEY": "access-canary",
    "S3_SECRET_KEY": "secret/key+canary=",
    "REGISTRY_USER": "user-canary",
    "REGISTRY_PASSWORD": "pull-canary",
    "PACHYDERM_ROBOT_TOKEN": "robot-canary",
    "PACHYDERM_FEEDBACK_TOKEN": "feedback-canary",
}
PLAIN = {
    "S3_ENDPOINT": "https://storage.internal:9000",
    "S3_REGION": "eu-central-1",
    "PACHYDERM_BUCKET": "pachyderm",
    "CHECKPOINT_BUCKET": "checkpoints",
    "REGISTRY": "registry.internal/team",
    "TRIAL_IMAGE": "registry.internal/team/trial@sha256:" + "0" * 64,
}
_STAND_IN = r"""#!/bin/sh
tool=${0##*/}
printf '%s\n' "$tool $*" >>"$RECORD/calls"
case "$tool $*" in
    *"$BROKEN"*) exit 1 ;;
    "kubectl kustomize "* | "kubectl create secret "*) exec "$KUBECTL" "$@" ;;
    "kubectl get storageclass "*) echo '{"storageclass.kubernetes.io/is-default-class":"true"}' ;;
    "kubectl get --raw /version") printf '{\n  "major": "1",\n  "minor": "%s"\n}\n' "$MINOR" ;;
    "kubectl get --raw "*) echo '{"clusterId":"c","version":"0.38.1"}' ;;
    *" -f -") { echo ---; cat; } >>"$RECORD/applied" ;;
    "helm upgrade --install "*) cat >"$RECORD/values.$3" ;;
esac
"""


class Installation:
    """One copy of deploy/, with what is a site's own filled in, and charts of the right versions with nothing else."""

    def __init__(self, directory: Path, kubectl: Path) -> None:
        self.record = directory / "record"
        self.cluster = directory / "deploy" / "cluster"
        self._environment = {
            "PATH": f"{directory / 'bin'}:{os.environ['PATH']}",
            "HOME": str(directory),
            "CHARTS": str(directory / "charts"),
            "RECORD": str(self.record),
            "KUBECTL": str(kubectl),
            "BROKEN": "no such call",
            "MINOR": "32+",
        }
        self.record.mkdir(parents=True)
        shutil.copytree(CLUSTER.parent, self.cluster.parent, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
        site = self.cluster / "ingress" / "site.yaml"
        site.write_text(site.read_text().replace("example.com", "example.org"))
        policy = self.cluster.parent / "overlays" / "production" / "networkpolicy.yaml"
        policy.write_text(policy.read_text().replace("192.0.2.0/24", "198.51.100.0/28"))
        for release in releases():
            chart = directory / "charts" / release["chart"]
            chart.mkdir(parents=True)
            (chart / "Chart.yaml").write_text(f'name: {release["chart"]}\nversion: "{release["version"]}"\n')
        (directory / "bin").mkdir()
        for tool in ("kubectl", "helm"):
            (directory / "bin" / tool).write_text(_STAND_IN)
            (directory / "bin" / tool).chmod(0o755)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the script with all variables set, save for those given (empty: not set)."""
        environment = self._environment | SECRETS | PLAIN | variables
        command = ["sh", str(self.cluster / "install.sh"), *arguments]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=120, cwd=self.record
        )

    def calls(self) -> list[str]:
        """The command lines of kubectl and helm, in order."""
        path = self.record / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def applied(self) -> list[dict[str, Any]]:
        """What went to kubectl apply by standard input."""
        return [each for each in yaml.safe_load_all((self.record / "applied").read_text()) if each]

    def values(self, release: str) -> Any:
        """What went to helm by standard input."""
        return yaml.safe_load((self.record / f"values.{release}").read_text())


def releases() -> list[dict[str, str]]:
    """The rows of charts.txt."""
    fields = ("release", "chart", "version", "namespace", "repository")
    lines = (CLUSTER / "charts.txt").read_text().splitlines()
    return [dict(zip(fields, line.split(), strict=True)) for line in lines if not line.startswith("#")]
