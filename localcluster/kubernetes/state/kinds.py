"""The resources that are served.  The table is constant: kubectl caches discovery for hours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
"""A Kubernetes object as its JSON form."""


@dataclass(frozen=True)
class Kind:
    """One row of `kubectl api-resources`."""

    group: str
    version: str
    plural: str
    name: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    status: bool = False
    categories: tuple[str, ...] = ()
    generations: bool = False
    """Whether metadata.generation counts the changes of its spec."""
    scale: bool = False
    """Whether `kubectl scale` changes its spec.replicas."""
    returned: bool = False
    """Whether a deletion answers with the object instead of a Status."""

    @property
    def api_version(self) -> str:
        """What an object of this kind carries as `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """The name used in messages, e.g. `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def custom(self) -> bool:
        """Whether a CustomResourceDefinition adds it to a cluster; such kinds are checked in another way."""
        return "." in self.group

    @property
    def reference(self) -> Object:
        """apiVersion and kind, as references to objects carry them."""
        return {"apiVersion": self.api_version, "kind": self.name}


NAMESPACE = Kind("", "v1", "namespaces", "Namespace", ("ns",), namespaced=False, status=True)
POD = Kind("", "v1", "pods", "Pod", ("po",), status=True, categories=("all",), returned=True)
SERVICE = Kind("", "v1", "services", "Service", ("svc",), status=True, categories=("all",), returned=True)
SECRET = Kind("", "v1", "secrets", "Secret")
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap", ("cm",))
CLAIM = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", ("pvc",), status=True, returned=True)
EVENT = Kind("", "v1", "events", "Event", ("ev",))
DEPLOYMENT = Kind(
    "apps",
    "v1",
    "deployments",
    "Deployment",
    ("deploy",),
    status=True,
    categories=("all",),
    generations=True,
    scale=True,
)
REPLICA_SET = Kind(
    "apps", "v1", "replicasets", "ReplicaSet", ("rs",), status=True, categories=("all",), generations=True
)
SELDON = Kind(
    "machinelearning.seldon.io",
    "v1",
    "seldondeployments",
    "SeldonDeployment",
    ("sdep",),
    status=True,
    categories=("all",),
    generations=True,
    scale=True,
)
VIRTUAL_SERVICE = Kind(
    "networking.istio.io", "v1", "virtualservices", "VirtualService", ("vs",), status=True, generations=True
)

KINDS = (
    NAMESPACE, POD, SERVICE, SECRET, CONFIG_MAP, CLAIM, EVENT, DEPLOYMENT, REPLICA_SET, SELDON, VIRTUAL_SERVICE,
)  # fmt: skip
"""Replica sets are listed (kubectl describe asks for them) and never made: Deployments own their Pods here."""

BY_RESOURCE = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}
BY_NAME = {kind.name: kind for kind in KINDS}
GROUP_VERSIONS = tuple(dict.fromkeys((kind.group, kind.version) for kind in KINDS))
