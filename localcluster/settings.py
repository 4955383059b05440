"""Where the local cluster keeps its state and listens: read once from the environment, then passed along."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import SettingsError
from localcluster.files import write_atomically

HOST = "127.0.0.1"
"""Every socket of the local cluster listens here and nowhere else."""

KEPT = "settings.json"
"""The file in the home directory with the ports and slots that `up` was last called with."""

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """Addresses and directories of one local cluster.

    `home` holds all state; `cores` is what the trials of one agent share; `slots` is the number of trials that
    run at once, each on `cores // slots` threads (at least one).
    """

    home: Path
    determined_port: int
    pachyderm_port: int
    kubernetes_port: int
    ingress_port: int
    slots: int
    cores: int
    serving_environment: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the `LOCALCLUSTER_*` variables (README, "Configuration").

        What `save` kept in the home directory stands in for a variable that is not set, so that a cluster which was
        started on other ports is found without naming them again.  Raises SettingsError, naming the variable, where
        a number is not one.
        """
        home = Path(environ.get("LOCALCLUSTER_HOME") or REPOSITORY / ".localcluster").expanduser().absolute()
        serving = Path(environ.get("LOCALCLUSTER_SERVING_ENV") or REPOSITORY / ".venv-serving")
        kept = home / KEPT
        chosen = (json.loads(kept.read_text()) if kept.exists() else {}) | {k: v for k, v in environ.items() if v}
        return cls(
            home=home,
            determined_port=_number(chosen, "LOCALCLUSTER_DETERMINED_PORT", 8080, 65535),
            pachyderm_port=_number(chosen, "LOCALCLUSTER_PACHYDERM_PORT", 30650, 65535),
            kubernetes_port=_number(chosen, "LOCALCLUSTER_KUBERNETES_PORT", 6443, 65535),
            ingress_port=_number(chosen, "LOCALCLUSTER_INGRESS_PORT", 8003, 65535),
            slots=_number(chosen, "LOCALCLUSTER_DETERMINED_SLOTS", 1, 1024),
            cores=len(os.sched_getaffinity(0)),
            serving_environment=serving.expanduser().absolute(),
        )

    def environment(self) -> dict[str, str]:
        """The variables that make `from_environment` in another process return this very object."""
        return self._numbers() | {
            "LOCALCLUSTER_HOME": str(self.home),
            "LOCALCLUSTER_SERVING_ENV": str(self.serving_environment),
        }

    def save(self) -> None:
        """Keep ports and slots in the home directory."""
        write_atomically(self.home / KEPT, json.dumps(self._numbers(), indent=2) + "\n")

    def _numbers(self) -> dict[str, str]:
        return {
            "LOCALCLUSTER_DETERMINED_PORT": str(self.determined_port),
            "LOCALCLUSTER_PACHYDERM_PORT": str(self.pachyderm_port),
            "LOCALCLUSTER_KUBERNETES_PORT": str(self.kubernetes_port),
            "LOCALCLUSTER_INGRESS_PORT": str(self.ingress_port),
            "LOCALCLUSTER_DETERMINED_SLOTS": str(self.slots),
        }

    @property
    def logs(self) -> Path:
        """One `<service>.log` a service."""
        return self.home / "logs"

    @property
    def images(self) -> Path:
        """The OCI layout that stands for the image registry: `make image` writes, the kubelet reads."""
        return self.home / "images"


def _number(environ: Mapping[str, str], variable: str, default: int, highest: int) -> int:
    text = environ.get(variable) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= highest:
        raise SettingsError(f"{variable}={text!r} is not a number from 1 to {highest}; unset it to use {default}")
    return int(text)
