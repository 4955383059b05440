"""Events, as `kubectl describe` and `kubectl get events` show them: repeated ones are counted, old ones dropped."""

from __future__ import annotations

import hashlib
import logging
from datetime import UTC, datetime, timedelta

from localcluster.kubernetes.clock import now
from localcluster.kubernetes.errors import Forbidden, NotFound
from localcluster.kubernetes.state.kinds import EVENT, Object
from localcluster.kubernetes.state.store import Store

KEPT = timedelta(hours=1)
REPEATED = timedelta(seconds=10)
"""How long the same has to be over before it counts again: a fault that lasts is met in every round."""

log = logging.getLogger(__name__)


def record(store: Store, item: Object, component: str, reason: str, message: str, *, warning: bool = False) -> bool:
    """Note that something happened to `item`; the same again only raises the count.  Returns whether that was noted."""
    metadata = item["metadata"]
    namespace = metadata.get("namespace") or "default"
    digest = hashlib.sha256(f"{metadata['uid']} {reason} {message}".encode(errors="replace")).hexdigest()[:16]
    name = f"{metadata['name'][:200].rstrip('.-')}.{digest}"
    before = store.find(EVENT, namespace, name)

    def again(event: Object) -> Object:
        return event | {"count": event["count"] + 1, "lastTimestamp": now()}

    if before and datetime.now(UTC) - datetime.fromisoformat(before["lastTimestamp"]) < REPEATED:
        return False
    try:
        store.update(EVENT, namespace, name, again)
    except NotFound:
        involved = {"kind": item["kind"], "apiVersion": item["apiVersion"], "namespace": namespace}
        event = {
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": involved | {key: metadata[key] for key in ("name", "uid")},
            "reason": reason,
            "message": message,
            "type": "Warning" if warning else "Normal",
            "source": {"component": component},
            "count": 1,
            "firstTimestamp": now(),
            "lastTimestamp": now(),
        }
        try:
            store.create(EVENT, event)
        except Forbidden:
            log.info("no event in a namespace that ends: %s", message)
            return False
    return True


def drop_old(store: Store) -> None:
    """Delete the events that nobody added to for an hour."""
    limit = datetime.now(UTC) - KEPT
    for event in store.all(EVENT)[0]:
        if datetime.fromisoformat(event.get("lastTimestamp") or event["metadata"]["creationTimestamp"]) < limit:
            store.remove(EVENT, event)
