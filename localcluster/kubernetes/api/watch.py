"""Watches: the history of the store, then every change as it happens, one JSON object a line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from localcluster.kubernetes.api.resources import Call
from localcluster.kubernetes.api.tables import table
from localcluster.kubernetes.errors import Expired
from localcluster.kubernetes.state.database import Change
from localcluster.kubernetes.state.kinds import Object
from localcluster.kubernetes.state.selectors import Predicate
from localcluster.kubernetes.state.store import Store

DEFAULT_SECONDS = 1800
"""How long a watch lasts if the client does not say; a real server chooses 30 to 60 minutes."""


class Hub:
    """Wakes the waiting watches of one event loop when a thread has changed the store."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """Safe to call from any thread, also after the loop has ended."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def ticket(self) -> asyncio.Event:
        """An event that the next change sets; take it before reading the store."""
        return self._changed

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


@dataclass(frozen=True)
class Watch:
    """What one client wants to see; `version` "" or "0" begins with the present objects."""

    store: Store
    hub: Hub
    call: Call
    matches: Predicate
    version: str
    seconds: float

    async def lines(self) -> AsyncIterator[bytes]:
        """The events, until the time is over or the history cannot be followed (an ERROR event)."""
        target = self.call.target
        deadline = asyncio.get_running_loop().time() + self.seconds
        titles = True
        version = int(self.version or 0)
        if version == 0:
            items, version = await run_in_threadpool(self.store.all, target.kind, target.namespace)
            for item in filter(self.matches, items):
                yield self._line("ADDED", item, titles)
                titles = False
            if self.call.query.get("sendInitialEvents") == "true":  # Where the present objects end.
                yield self._bookmark(version)
        while True:
            changed = self.hub.ticket()
            try:
                changes, version = await run_in_threadpool(self.store.since, target.kind, target.namespace, version)
            except Expired as error:
                yield json.dumps({"type": "ERROR", "object": error.status()}).encode() + b"\n"
                return
            for type_, item in filter(None, map(self._seen, changes)):
                yield self._line(type_, item, titles)
                titles = False
            try:
                await asyncio.wait_for(changed.wait(), deadline - asyncio.get_running_loop().time())
            except TimeoutError:
                return

    def _seen(self, change: Change) -> tuple[str, Object] | None:
        """A change as it looks through the selectors: what begins to match is added, what ceases to is deleted."""
        was = change.before is not None and self.matches(change.before)
        if change.type == "DELETED":
            return (change.type, change.item) if was else None
        if self.matches(change.item):
            return ("MODIFIED" if was else "ADDED"), change.item
        if was and change.before:
            version = {"resourceVersion": change.item["metadata"]["resourceVersion"]}
            return "DELETED", change.before | {"metadata": change.before["metadata"] | version}
        return None

    def _bookmark(self, version: int) -> bytes:
        annotations = {"k8s.io/initial-events-end": "true"}
        metadata = {"resourceVersion": str(version), "creationTimestamp": None, "annotations": annotations}
        marker: Object = {**self.call.target.kind.reference, "metadata": metadata}
        return json.dumps({"type": "BOOKMARK", "object": marker}).encode() + b"\n"

    def _line(self, type_: str, item: Object, titles: bool) -> bytes:
        version = item["metadata"]["resourceVersion"]
        shown = table(self.call.target.kind, [item], version, titles=titles) if self.call.as_table else item
        return json.dumps({"type": type_, "object": shown}).encode() + b"\n"
