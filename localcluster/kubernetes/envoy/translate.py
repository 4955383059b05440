"""From an Istio VirtualService to Envoy's routes, clusters and endpoints; pure functions.

Defaults as Istio sets them: no route timeout, two retries on another host for what never reached one.  One departs:
idle upstream connections are closed after a second, because gunicorn closes its own after two and would win the race.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcluster.kubernetes.state.seldon import VERSIONS
from localcluster.settings import HOST

Resource = dict[str, Any]

ROUTES_FILE, CLUSTERS_FILE, LISTENERS_FILE = "routes.json", "clusters.json", "listeners.json"
_TYPE = "type.googleapis.com/envoy"
_CLUSTER_DOMAIN = ".svc.cluster.local"
_ISTIO_RETRIES = "connect-failure,refused-stream,unavailable,cancelled,reset-before-request"


@dataclass(frozen=True)
class Destination:
    """One subset of a Service at one port: its Pods with that label `version`; `http2` for gRPC."""

    namespace: str
    host: str
    subset: str
    version: str
    port: int
    http2: bool

    @property
    def cluster(self) -> str:
        """The cluster's name, as Istio writes it."""
        return f"outbound|{self.port}|{self.subset}|{self.host}.{self.namespace}{_CLUSTER_DOMAIN}"


def destinations(service: Resource) -> Iterator[Destination]:
    """Every destination that a VirtualService names, mirrors included."""
    for route in service["spec"]["http"]:
        for target in (*(each["destination"] for each in route["route"]), *filter(None, [route.get("mirror")])):
            yield _destination(service, route, target)


def routes(services: list[Resource]) -> Resource:
    """The route table of all VirtualServices, one virtual host a domain."""
    hosts: dict[str, list[Resource]] = {}
    for service in sorted(services, key=lambda each: each["metadata"]["creationTimestamp"]):
        for domain in service["spec"]["hosts"]:
            hosts.setdefault(domain, []).extend(_route(service, route) for route in service["spec"]["http"])
    return {
        "@type": f"{_TYPE}.config.route.v3.RouteConfiguration",
        "name": "ingress",
        "ignore_port_in_host_matching": True,
        "virtual_hosts": [
            {"name": domain, "domains": [domain], "routes": found} for domain, found in sorted(hosts.items())
        ],
    }


def clusters_of(route_files: list[Resource]) -> set[str]:
    """The names of the clusters that a route table refers to."""
    names: set[str] = set()
    for table in route_files:
        for route in (route["route"] for host in table["virtual_hosts"] for route in host["routes"]):
            names |= (
                {route["cluster"]}
                if "cluster" in route
                else {c["name"] for c in route["weighted_clusters"]["clusters"]}
            )
            names |= {policy["cluster"] for policy in route.get("request_mirror_policies", [])}
    return names


def cluster(destination: Destination, directory: Path) -> Resource:
    """A cluster whose endpoints come from a file of their own."""
    http2: Resource = {"http2_protocol_options": {}} if destination.http2 else {"http_protocol_options": {}}
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "@type": f"{_TYPE}.config.cluster.v3.Cluster",
        "name": destination.cluster,
        "type": "EDS",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "eds_cluster_config": {"eds_config": config_source(directory / endpoints_file(destination.cluster))},
        "circuit_breakers": {
            "thresholds": [
                dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), 2**32 - 1)
            ]
        },
        "typed_extension_protocol_options": {
            options: {
                "@type": f"type.googleapis.com/{options}",
                "common_http_protocol_options": {"idle_timeout": "60s" if destination.http2 else "1s"},
                "explicit_http_config": http2,
            }
        },
    }


def endpoints_file(cluster_name: str) -> str:
    """The name of a cluster's endpoint file."""
    return f"endpoints-{hashlib.sha256(cluster_name.encode()).hexdigest()[:16]}.json"


def endpoints(cluster_name: str, ports: list[int]) -> Resource:
    """The addresses of a cluster: loopback ports of ready Pods."""
    addresses = [{"endpoint": {"address": {"socket_address": {"address": HOST, "port_value": port}}}} for port in ports]
    return {
        "@type": f"{_TYPE}.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": cluster_name,
        "endpoints": [{"lb_endpoints": addresses}],
    }


def config_source(path: Path) -> Resource:
    """A file that Envoy reads again whenever another is renamed to it."""
    return {
        "path_config_source": {"path": str(path), "watched_directory": {"path": str(path.parent)}},
        "resource_api_version": "V3",
    }


def _destination(service: Resource, route: Resource, target: Resource) -> Destination:
    http2 = "regex" in route["match"][0]["uri"]
    host, namespace, subset = target["host"], service["metadata"]["namespace"], target.get("subset", "")
    if host.endswith(_CLUSTER_DOMAIN):
        host, namespace = host.removesuffix(_CLUSTER_DOMAIN).split(".")
    versions = json.loads((service["metadata"].get("annotations") or {}).get(VERSIONS, "{}"))
    return Destination(namespace, host, subset, versions.get(subset, subset), target["port"]["number"], http2)


def _route(service: Resource, route: Resource) -> Resource:
    wanted = route["match"][0]
    uri = wanted["uri"]
    match: Resource = {"prefix": uri["prefix"]} if "prefix" in uri else {"safe_regex": {"regex": uri["regex"]}}
    headers = [
        {"name": name, "string_match": {"exact": test["exact"]}} for name, test in wanted.get("headers", {}).items()
    ]
    action: Resource = {"timeout": "0s", "retry_policy": _retries(route.get("retries"))}
    weighted = [
        {"name": _destination(service, route, each["destination"]).cluster, "weight": each["weight"]}
        for each in route["route"]
        if each["weight"] > 0 or len(route["route"]) == 1
    ]
    if len(weighted) == 1:
        action["cluster"] = weighted[0]["name"]
    else:
        action["weighted_clusters"] = {"clusters": weighted}
    if "rewrite" in route:
        action["prefix_rewrite"] = route["rewrite"]["uri"]
    if "mirror" in route:
        millionths = round(route.get("mirrorPercentage", {"value": 100.0})["value"] * 10_000)
        fraction = {"default_value": {"numerator": millionths, "denominator": "MILLION"}}
        mirror = {"cluster": _destination(service, route, route["mirror"]).cluster, "runtime_fraction": fraction}
        action["request_mirror_policies"] = [mirror]
    return {"match": match | ({"headers": headers} if headers else {}), "route": action}


def _retries(wanted: Resource | None) -> Resource:
    predicate = "envoy.retry_host_predicates.previous_hosts"
    policy: Resource = {
        "retry_on": wanted["retryOn"] if wanted else _ISTIO_RETRIES,
        "num_retries": wanted["attempts"] if wanted else 2,
        "retry_host_predicate": [
            {
                "name": predicate,
                "typed_config": {"@type": f"{_TYPE}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
            }
        ],
        "host_selection_retry_max_attempts": 5,
    }
    return policy | ({"per_try_timeout": wanted["perTryTimeout"]} if wanted else {})
