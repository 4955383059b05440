"""How an object is deleted: at once, or begun now and completed once nothing holds it.

Pods end gracefully, Namespaces are emptied first, Foreground waits for the dependents, finalizers for whoever set them.
"""

from __future__ import annotations

from dataclasses import dataclass

from localcluster.kubernetes.clock import now
from localcluster.kubernetes.errors import Conflict, Forbidden, named
from localcluster.kubernetes.state.kinds import NAMESPACE, POD, Kind, Object

FOREGROUND = "foregroundDeletion"
PROTECTED = ("default", "kube-system", "istio-system")
"""Namespaces that stay."""


@dataclass(frozen=True)
class Deletion:
    """What a request to delete says (DeleteOptions of meta/v1); `uid` and `version` are preconditions, "" for none."""

    propagation: str = "Background"
    grace: int | None = None
    """Seconds; None for what the Pod says."""
    uid: str = ""
    version: str = ""

    def check(self, kind: Kind, item: Object) -> None:
        """Raises Conflict where a precondition is not met, Forbidden for what may not be deleted."""
        metadata = item["metadata"]
        name = metadata["name"]
        for field, wanted, found, why in (
            ("UID", self.uid, metadata["uid"], "deleted and then recreated"),
            ("ResourceVersion", self.version, metadata["resourceVersion"], "modified"),
        ):
            if wanted and wanted != found:
                words = f"the {field} in the precondition ({wanted}) does not match the {field} in record ({found})"
                qualified = f"{kind.name}.{kind.group}" if kind.group else kind.name
                raise Conflict(qualified, name, f"{words}. The object might have been {why}")
        if kind is NAMESPACE and name in PROTECTED:
            raise Forbidden(
                f'namespaces "{name}" is forbidden: this namespace may not be deleted', **named(kind.resource, name)
            )

    def is_immediate(self, kind: Kind, item: Object) -> bool:
        """Whether nothing has to happen before the object goes."""
        gradual = (kind is POD and self.grace != 0) or kind is NAMESPACE or self.propagation == "Foreground"
        return not gradual and not item["metadata"].get("finalizers")

    def begin(self, kind: Kind, item: Object) -> None:
        """Mark the object as one that is being deleted."""
        metadata = item["metadata"]
        metadata["deletionTimestamp"] = now()
        if kind is NAMESPACE:
            item["status"] = {"phase": "Terminating"}
            return
        metadata["deletionGracePeriodSeconds"] = self._grace(item) if kind is POD else 0
        if self.propagation == "Foreground" and kind is not POD:
            metadata["finalizers"] = [*metadata.get("finalizers", []), FOREGROUND]

    def _grace(self, pod: Object) -> int:
        wanted: int = pod["spec"].get("terminationGracePeriodSeconds", 30) if self.grace is None else self.grace
        return wanted


DEFAULT = Deletion()
"""What `kubectl delete` asks for."""
