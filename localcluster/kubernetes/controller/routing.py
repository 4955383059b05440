"""From VirtualServices, Services and ready Pods to Envoy's files, in an order that never routes into the void."""

from __future__ import annotations

import logging
import time

from localcluster.kubernetes.controller.pods import is_ready, pod_ports
from localcluster.kubernetes.envoy import admin, files, translate
from localcluster.kubernetes.envoy.translate import Resource
from localcluster.kubernetes.layout import Layout
from localcluster.kubernetes.state.kinds import POD, SERVICE, VIRTUAL_SERVICE, Object
from localcluster.kubernetes.state.selectors import labels_match
from localcluster.kubernetes.state.store import Store

DEADLINE_SECONDS = 5.0
"""How long Envoy may take to follow a change before the routes no longer wait for it."""

log = logging.getLogger(__name__)


class Routing:
    """Keeps one Envoy's files up to date, and knows when Envoy has taken them (`settled`)."""

    def __init__(self, store: Store, layout: Layout) -> None:
        self._store = store
        self._layout = layout
        self._directory = layout.envoy
        self._changed_at = time.monotonic()
        self._left_out: set[str] = set()
        self.settled = False
        self.refused = False
        """Whether Envoy answers and does not take what it is given, which holds for the routes of all."""

    def routed_ports(self) -> set[int] | None:
        """The ports that Envoy sends requests to; None if Envoy does not answer."""
        known = admin.endpoints(self._directory)
        return None if known is None else {port for ports in known.values() for port in ports}

    def publish(self) -> None:
        """One round: endpoints and clusters first; routes when Envoy knows their clusters; unused clusters last."""
        services = [each for each in self._store.all(VIRTUAL_SERVICE)[0] if self._routable(each)]
        wanted = {d.cluster: d for service in services for d in translate.destinations(service)}
        ports = {name: self._ports(destination) for name, destination in wanted.items()}
        changed = [
            self._write(translate.endpoints_file(name), translate.endpoints(name, ports[name])) for name in wanted
        ]
        clusters = {name: translate.cluster(destination, self._directory) for name, destination in wanted.items()}
        routes, published = translate.routes(services), files.read(self._directory, translate.ROUTES_FILE)
        changed.append(published != [routes])
        routed = translate.clusters_of(published)
        for old in files.read(self._directory, translate.CLUSTERS_FILE):
            if old["name"] in routed:
                clusters.setdefault(old["name"], old)
        changed.append(self._write(translate.CLUSTERS_FILE, *(clusters[name] for name in sorted(clusters))))
        if any(changed):
            self._changed_at, self.settled = time.monotonic(), False
        if not self.settled or self.refused:
            self._settle(routes, ports)

    def _routable(self, service: Object) -> bool:
        """Whether a VirtualService has the form that Seldon's have; anybody may have written another."""
        try:
            translate.routes([service])
            list(translate.destinations(service))
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            metadata = service["metadata"]
            if metadata["uid"] not in self._left_out:
                words = "the VirtualService %s/%s is left out: only the form of Seldon's is routed here (%r)"
                log.warning(words, metadata["namespace"], metadata["name"], error)
                self._left_out.add(metadata["uid"])
            return False
        return True

    def _settle(self, routes: Resource, ports: dict[str, list[int]]) -> None:
        """Go on with the routes as far as Envoy has followed; an Envoy that is away reads everything when it starts."""
        known = admin.endpoints(self._directory)
        following = known is not None and time.monotonic() < self._changed_at + DEADLINE_SECONDS
        behind = known is not None and any(known.get(name) != set(found) for name, found in ports.items())
        if behind and following:
            return
        if self._write(translate.ROUTES_FILE, routes):
            log.info("routes to: %s", ", ".join(sorted(ports)) or "nothing")
        taken = admin.routes_version(self._directory) == files.version(self._directory, translate.ROUTES_FILE)
        if following and not taken:
            return
        used = {translate.endpoints_file(each["name"]) for each in files.read(self._directory, translate.CLUSTERS_FILE)}
        for stale in self._directory.glob("endpoints-*.json"):
            if stale.name not in used:
                stale.unlink()
        if known is not None and not following and not self.settled:
            log.error("Envoy has not taken its configuration within %s s; see the ingress log", DEADLINE_SECONDS)
        self.refused = known is not None and (behind or not taken)
        self.settled = True

    def _write(self, name: str, *resources: Resource) -> bool:
        return files.write(self._directory, name, *resources)

    def _ports(self, destination: translate.Destination) -> list[int]:
        service = self._store.find(SERVICE, destination.namespace, destination.host)
        if service is None:
            return []
        target = next(
            (p["targetPort"] for p in service["spec"].get("ports") or [] if p["port"] == destination.port), None
        )
        selector: Object = (service["spec"].get("selector") or {}) | (
            {"version": destination.version} if destination.subset else {}
        )
        pods = [
            pod
            for pod in self._store.all(POD, destination.namespace)[0]
            if is_ready(pod) and labels_match(pod, selector)
        ]
        return sorted(pod_ports(pod)[str(target)] for pod in pods if str(target) in pod_ports(pod))
