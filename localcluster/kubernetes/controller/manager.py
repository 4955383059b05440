"""The loop that turns all controllers, in one thread.

A round at every change of the store, at the end of every container, and four times a second.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

from localcluster.kubernetes.controller import deployments, events, garbage, seldon
from localcluster.kubernetes.controller.kubelet import Kubelet
from localcluster.kubernetes.controller.routing import Routing
from localcluster.kubernetes.errors import Conflict, NotFound
from localcluster.kubernetes.layout import Layout
from localcluster.kubernetes.state.store import Store

ROUND_SECONDS = 0.25
SHUTDOWN_GRACE_SECONDS = 15.0
_EVENTS_EVERY = 60.0

log = logging.getLogger(__name__)


class Manager:
    """All controllers of one local cluster."""

    def __init__(self, store: Store, layout: Layout, serving: Path) -> None:
        self._store = store
        self._routing = Routing(store, layout)
        self._wake = threading.Event()
        self._kubelet = Kubelet(store, layout, serving, self._routing.routed_ports, self._wake.set)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="controllers", daemon=True)
        self._next_event_cleaning = 0.0
        store.listen(self._wake.set)

    def start(self) -> None:
        """Take over what runs already, do one round, then go on in a thread."""
        self._kubelet.adopt()
        self._round()
        self._thread.start()

    def stop(self) -> None:
        """End the loop, then all containers gracefully; their Pods stay for the next start."""
        self._stopping.set()
        self._wake.set()
        self._thread.join()
        self._kubelet.stop(SHUTDOWN_GRACE_SECONDS)
        self._round(kubelet=False)

    def _loop(self) -> None:
        try:
            while not self._stopping.is_set():
                self._wake.wait(ROUND_SECONDS if self._routing.settled else ROUND_SECONDS / 5)
                self._wake.clear()
                self._round()
        finally:
            if not self._stopping.is_set():
                log.critical("the controllers failed; ending the process so that it is started afresh", exc_info=True)
                logging.shutdown()
                os._exit(1)

    def _round(self, *, kubelet: bool = True) -> None:
        try:
            garbage.collect(self._store)
            if kubelet:
                self._kubelet.sync()
            deployments.sync(self._store)
            plans = seldon.reconcile(self._store)
            self._routing.publish()
            routed = self._routing.settled and not self._routing.refused
            seldon.report(self._store, plans, routed=routed, refused=self._routing.refused)
            if time.monotonic() > self._next_event_cleaning:
                events.drop_old(self._store)
                self._next_event_cleaning = time.monotonic() + _EVENTS_EVERY
        except (NotFound, Conflict) as error:
            log.info("an object changed during a round, going on with the next: %s", error)
