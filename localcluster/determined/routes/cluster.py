"""What the cluster says about itself."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from localcluster.determined import VERSION
from localcluster.determined.launcher import AGENT_ID
from localcluster.determined.routes.http import answer, master
from localcluster.determined.state import trials

CLUSTER_NAME = "local"
_WORKSPACE = {
    "id": 1,
    "name": "Uncategorized",
    "archived": False,
    "username": "admin",
    "immutable": True,
    "numProjects": 1,
    "pinned": False,
    "userId": 1,
    "numExperiments": 0,
    "state": "WORKSPACE_STATE_UNSPECIFIED",
    "errorMessage": "",
}


async def front(request: Request) -> Response:
    """Say where the API is."""
    address = f"{request.url.scheme}://{request.url.netloc}"
    return PlainTextResponse(
        f"Determined {VERSION} API of the local cluster.\n\nDET_MASTER={address} det experiment list\n"
    )


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


async def agents(request: Request) -> Response:
    """One agent: this machine."""
    found = master(request)
    used = trials.slots_used(found.db)
    slots = {
        str(number): {
            "id": str(number),
            "enabled": True,
            "draining": False,
            "device": {"id": number, "type": "TYPE_CPU"},
        }
        for number in range(found.settings.slots)
    }
    agent = {
        "id": AGENT_ID,
        "enabled": True,
        "draining": False,
        "addresses": ["127.0.0.1"],
        "resourcePools": ["default"],
        "slots": slots,
        "slotStats": {"typeStats": {}, "stateCounts": {}, "deviceTypeCounts": {}, "disabledSlots": []},
        "version": VERSION,
        "numContainers": used,
    }
    return answer(
        {"agents": [agent], "pagination": {"offset": 0, "limit": 0, "startIndex": 0, "endIndex": 1, "total": 1}}
    )


async def workspaces(request: Request) -> Response:
    """The one workspace."""
    return answer(
        {
            "workspaces": [_WORKSPACE],
            "pagination": {"offset": 0, "limit": 0, "startIndex": 0, "endIndex": 1, "total": 1},
        }
    )


async def workspace(request: Request) -> Response:
    """The one workspace."""
    return answer({"workspace": _WORKSPACE})


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
    Route("/", front),
    Route("/info", info),
    Route("/api/v1/master", get_master),
    Route("/api/v1/agents", agents),
    Route("/api/v1/workspaces", workspaces),
    Route("/api/v1/workspaces/1", workspace),
]
