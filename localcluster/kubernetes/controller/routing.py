"""From VirtualServices, Services and ready Pods to Envoy's files, in an order that never routes into the void."""

from __future__ import annotations

import logging
import time

from localcluster.kubernetes.controller.kubelet import is_ready, pod_ports
from localcluster.kubernetes.envoy import admin, files, translate
from localcluster.kubernetes.layout import Layout
from localcluster.kubernetes.state.kinds import POD, SERVICE, VIRTUAL_SERVICE, Object
from localcluster.kubernetes.state.selectors import labels_match
from localcluster.kubernetes.state.store import Store

CLUSTERS_DEADLINE_SECONDS = 5.0
"""How long routes wait for Envoy to know their clusters; an Envoy that is away reads everything when it starts."""

log = logging.getLogger(__name__)


class Routing:
    """Keeps one Envoy's files up to date."""

    def __init__(self, store: Store, layout: Layout) -> None:
        self._store = store
        self._layout = layout
        self._waiting_since: float | None = None

    def routed_ports(self) -> set[int] | None:
        """The ports that Envoy sends requests to; None if Envoy does not answer."""
        known = admin.endpoints(self._layout.envoy)
        return None if known is None else {port for ports in known.values() for port in ports}

    def publish(self) -> None:
        """One round: endpoints and clusters first; routes when Envoy knows their clusters; unused clusters last."""
        services = self._store.all(VIRTUAL_SERVICE)[0]
        routes = translate.routes(services)
        wanted = {d.cluster: d for service in services for d in translate.destinations(service)}
        directory = self._layout.envoy
        for name, destination in wanted.items():
            files.write(directory, translate.endpoints_file(name), translate.endpoints(name, self._ports(destination)))
        old = files.read(directory, translate.CLUSTERS_FILE)
        kept = [
            each for each in old if each["name"] in translate.clusters_of(files.read(directory, translate.ROUTES_FILE))
        ]
        clusters = {each["name"]: each for each in kept}
        clusters |= {name: translate.cluster(destination, directory) for name, destination in wanted.items()}
        files.write(directory, translate.CLUSTERS_FILE, *(clusters[name] for name in sorted(clusters)))
        if not self._clusters_known(set(wanted)):
            return
        if files.write(directory, translate.ROUTES_FILE, routes):
            log.info("routes: %s", ", ".join(sorted(wanted)) or "none")
            return
        for stale in directory.glob("endpoints-*.json"):
            if stale.name not in map(translate.endpoints_file, clusters):
                stale.unlink()

    def _clusters_known(self, wanted: set[str]) -> bool:
        known = admin.endpoints(self._layout.envoy)
        if known is None or wanted <= known.keys():
            self._waiting_since = None
            return True
        self._waiting_since = self._waiting_since or time.monotonic()
        return time.monotonic() > self._waiting_since + CLUSTERS_DEADLINE_SECONDS

    def _ports(self, destination: translate.Destination) -> list[int]:
        service = self._store.find(SERVICE, destination.namespace, destination.host)
        if service is None:
            return []
        target = next((p["targetPort"] for p in service["spec"]["ports"] if p["port"] == destination.port), None)
        selector: Object = service["spec"]["selector"] | ({"version": destination.subset} if destination.subset else {})
        pods = [
            pod
            for pod in self._store.all(POD, destination.namespace)[0]
            if is_ready(pod) and labels_match(pod, selector)
        ]
        return sorted(pod_ports(pod)[str(target)] for pod in pods if str(target) in pod_ports(pod))
