"""Where this package keeps its files below the local cluster's home."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Directories and files of one local cluster's Kubernetes."""

    home: Path

    @property
    def root(self) -> Path:
        """All of this package's state."""
        return self.home / "kubernetes"

    @property
    def database(self) -> Path:
        """The objects."""
        return self.root / "state.sqlite"

    @property
    def kubeconfig(self) -> Path:
        """The client's configuration, with the CA and the token (0600)."""
        return self.root / "kubeconfig"

    @property
    def token(self) -> Path:
        """The bearer token (0600)."""
        return self.home / "secrets" / "kubernetes"

    @property
    def pki(self) -> Path:
        """CA and server certificate with their keys (0600)."""
        return self.root / "pki"

    @property
    def images(self) -> Path:
        """The OCI layout that stands for the registry."""
        return self.home / "images"

    @property
    def rootfs(self) -> Path:
        """Unpacked images, one directory a manifest digest."""
        return self.root / "rootfs"

    @property
    def envoy(self) -> Path:
        """Bootstrap, xDS files and the file with the address of Envoy's admin interface."""
        return self.root / "envoy"

    @property
    def access_log(self) -> Path:
        """Requests at the ingress that failed, one JSON object a line."""
        return self.home / "logs" / "ingress-errors.jsonl"

    @property
    def claims(self) -> Path:
        """What persistent volume claims hold, one directory a claim."""
        return self.root / "claims"

    def claim(self, uid: str) -> Path:
        """What one claim holds."""
        return self.claims / uid

    def pod_volume(self, pod_uid: str, volume: str) -> Path:
        """A volume that lives as long as its Pod."""
        return self.root / "pods" / pod_uid / ".volumes" / volume

    def container(self, pod_uid: str, container: str) -> Path:
        """What one container of one Pod leaves: its process record and its logs."""
        return self.root / "pods" / pod_uid / container

    def log(self, pod_uid: str, container: str, restarts: int) -> Path:
        """Standard output and error of the container's run after so many restarts."""
        return self.container(pod_uid, container) / f"{restarts}.log"
