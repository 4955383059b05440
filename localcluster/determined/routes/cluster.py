"""What the cluster says about itself."""

from __future__ import annotations

from typing import Any

from localcluster.determined import VERSION
from localcluster.determined.routes.http import Call, served

CLUSTER_NAME = "local"


def info(call: Call) -> dict[str, Any]:
    """What every client asks first, without a token."""
    return {
        "version": VERSION,
        "cluster_id": call.master.cluster_id,
        "master_id": call.master.master_id,
        "cluster_name": CLUSTER_NAME,
        "telemetry": {"enabled": False},
    }


def master(call: Call) -> dict[str, Any]:
    """v1GetMasterResponse."""
    return {
        "version": VERSION,
        "masterId": call.master.master_id,
        "clusterId": call.master.cluster_id,
        "clusterName": CLUSTER_NAME,
        **dict.fromkeys(("hasCustomLogo", "strictJobQueueControl", "telemetryEnabled", "rbacEnabled"), False),
        "userManagementEnabled": True,
        "ssoProviders": [],
        "featureSwitches": [],
        "product": "PRODUCT_UNSPECIFIED",
    }


ROUTES = served({"GET /info": info, "GET /api/v1/master": master})
