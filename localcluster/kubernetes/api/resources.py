"""What a request on any served resource asks for: its path, its options, and who answers it."""

from __future__ import annotations

from dataclasses import dataclass, field

from localcluster.kubernetes.errors import BadRequest, NotFound, NotServed
from localcluster.kubernetes.state.kinds import BY_RESOURCE, Kind
from localcluster.kubernetes.state.selectors import Predicate, selector
from localcluster.kubernetes.state.store import Store

ONLY_REAL = {
    "Pod": ("attach", "binding", "ephemeralcontainers", "eviction", "exec", "portforward", "resize"),
    "ReplicaSet": ("scale",),
    "Namespace": ("finalize",),
    "Service": ("proxy",),
}
"""The subresources of a real cluster that the local one does not have."""


@dataclass(frozen=True)
class Target:
    """What a path names."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@dataclass
class Call:
    """One request, free of HTTP's machinery; `warnings` becomes the answer's Warning headers."""

    method: str
    target: Target
    query: dict[str, str]
    content_type: str
    accept: str
    body: bytes
    warnings: list[str] = field(default_factory=list)

    @property
    def as_table(self) -> bool:
        """Whether the client prefers a rendered table."""
        return "as=Table" in self.accept.partition(",")[0]

    @property
    def as_metadata(self) -> bool:
        """Whether the client wants nothing but the metadata."""
        return "as=PartialObjectMetadata" in self.accept.partition(",")[0]

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be stored."""
        return bool(self.query.get("dryRun"))

    @property
    def matches(self) -> Predicate:
        """The label and field selectors."""
        return selector(self.query.get("labelSelector", ""), self.query.get("fieldSelector", ""), self.target.kind)

    def number(self, option: str) -> int | None:
        """A number among the options; raises BadRequest for another text."""
        text = self.query.get(option, "")
        try:
            return int(text) if text else None
        except ValueError as error:
            raise BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error


def parse_path(group: str, version: str, path: str) -> Target:
    """Read the part of a URL after the group and version; raises NotFound."""
    parts = [part for part in path.split("/") if part]
    if len(parts) >= 3 and parts[0] == "namespaces" and (group, version, parts[2]) in BY_RESOURCE:
        kind = BY_RESOURCE[group, version, parts[2]]
        if kind.namespaced and len(parts) <= 5:
            return Target(kind, parts[1], *parts[3:])
    found = BY_RESOURCE.get((group, version, parts[0])) if parts else None
    if found is None or (found.namespaced and len(parts) > 1) or (len(parts) > 2 and parts[2:] != ["status"]):
        raise NotFound
    return Target(found, "", *parts[1:])


def check_subresource(store: Store, target: Target) -> None:
    """Raise NotFound for one that no such kind has, NotServed for one that only a real cluster has."""
    if (target.subresource == "status" and target.kind.status) or (target.subresource == "scale" and target.kind.scale):
        return
    known = ONLY_REAL.get(target.kind.name, ())
    if target.subresource not in known:
        raise NotFound
    store.get(target.kind, target.namespace, target.name)
    raise NotServed(f"{target.kind.plural}/{target.subresource}")
