"""Calls on the cluster as a whole: its version, its identity, its health, and who the caller is."""

from __future__ import annotations

from dataclasses import dataclass

from betterproto.lib.google.protobuf import Empty
from pachyderm_sdk.api import admin, auth, version

from localcluster.pachyderm.errors import ProjectNotFound
from localcluster.pachyderm.servicer.session import Session
from localcluster.pachyderm.state import repos

VERSION = (2, 12, 2)
"""The Pachyderm version whose behaviour this server follows."""

SERVING = b"\x08\x01"


@dataclass(frozen=True)
class RawMessage:
    """A message that no installed package has a class for, as its bytes on the wire."""

    data: bytes

    @classmethod
    def FromString(cls, data: bytes) -> RawMessage:  # noqa: N802
        """As betterproto's method of this name."""
        return cls(data)

    def __bytes__(self) -> bytes:
        return self.data


def get_version(_request: Empty, _session: Session) -> version.Version:
    major, minor, micro = VERSION
    return version.Version(major=major, minor=minor, micro=micro, additional="-local", platform="local cluster")


def inspect_cluster(request: admin.InspectClusterRequest, session: Session) -> admin.ClusterInfo:
    warnings = []
    if project := request.current_project.name:
        try:
            with session.read() as tx:
                repos.get_project(tx, project)
        except ProjectNotFound as error:
            warnings.append(f"{error}; create it, or choose another with pachctl config update context --project")
    return admin.ClusterInfo(
        id=session.store.cluster_id,
        deployment_id=session.store.deployment_id,
        warnings_ok=True,
        warnings=warnings,
    )


def who_am_i(_request: auth.WhoAmIRequest, _session: Session) -> auth.WhoAmIResponse:
    return auth.WhoAmIResponse(username="pach:root")


def health(_request: RawMessage, _session: Session) -> RawMessage:
    """grpc.health.v1.HealthCheckResponse with status SERVING, whatever service the request names."""
    return RawMessage(SERVING)
