"""The fixed part of Envoy's configuration: admin interface, the ingress listener, and where the rest is read from."""

from __future__ import annotations

from pathlib import Path

from localcluster.kubernetes.envoy.translate import CLUSTERS_FILE, LISTENERS_FILE, Resource, config_source
from localcluster.kubernetes.envoy.translate import ROUTES_FILE as ROUTES
from localcluster.settings import HOST

ADMIN_PATHS = ("/ready", "/clusters", "/stats", "/server_info", "/config_dump", "/listeners")
_TYPE = "type.googleapis.com/envoy"
_LOG_FIELDS = {
    "time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "upstream": "%UPSTREAM_HOST%",
    "duration_ms": "%DURATION%",
}


def bootstrap(directory: Path) -> Resource:
    """What `envoy -c` reads; the admin interface takes a free port and answers reading paths only."""
    return {
        "node": {"id": "istio-ingressgateway", "cluster": "istio-ingressgateway"},
        "admin": {
            "address": {"socket_address": {"address": HOST, "port_value": 0}},
            "allow_paths": [{"prefix": path} for path in ADMIN_PATHS],
        },
        "dynamic_resources": {
            "lds_config": config_source(directory / LISTENERS_FILE),
            "cds_config": config_source(directory / CLUSTERS_FILE),
        },
    }


def listener(directory: Path, port: int, access_log: Path) -> Resource:
    """The ingress: HTTP/1.1 and HTTP/2 without TLS on one loopback port; failed requests are logged."""
    manager = {
        "@type": f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "codec_type": "AUTO",
        "rds": {"route_config_name": "ingress", "config_source": config_source(directory / ROUTES)},
        "normalize_path": True,
        "access_log": [_access_log(access_log)],
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE}.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    return {
        "@type": f"{_TYPE}.config.listener.v3.Listener",
        "name": "ingress",
        "address": {"socket_address": {"address": HOST, "port_value": port}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _access_log(path: Path) -> Resource:
    return {
        "name": "envoy.access_loggers.file",
        "filter": {
            "status_code_filter": {
                "comparison": {"op": "GE", "value": {"default_value": 400, "runtime_key": "access_log_from_status"}}
            }
        },
        "typed_config": {
            "@type": f"{_TYPE}.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(path),
            "log_format": {"json_format": _LOG_FIELDS},
        },
    }
