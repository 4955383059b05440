"""What the cluster says about itself."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localcluster.determined import VERSION
from localcluster.determined.routes.http import answer, master

CLUSTER_NAME = "local"


async def info(request: Request) -> Response:
    """What every client asks first, without a token."""
    return answer(_identity(request))


async def get_master(request: Request) -> Response:
    """v1GetMasterResponse."""
    found = _identity(request)
    return answer(
        {
            "version": VERSION,
            "masterId": found["master_id"],
            "clusterId": found["cluster_id"],
            "clusterName": CLUSTER_NAME,
            "hasCustomLogo": False,
            "strictJobQueueControl": False,
            "telemetryEnabled": False,
            "rbacEnabled": False,
            "userManagementEnabled": True,
            "ssoProviders": [],
            "featureSwitches": [],
            "product": "PRODUCT_UNSPECIFIED",
        }
    )


def _identity(request: Request) -> dict[str, Any]:
    found = master(request)
    return {
        "version": VERSION,
        "cluster_id": found.cluster_id,
        "master_id": found.master_id,
        "cluster_name": CLUSTER_NAME,
        "telemetry": {"enabled": False},
    }


ROUTES = [
    Route("/info", info),
    Route("/api/v1/master", get_master),
]
