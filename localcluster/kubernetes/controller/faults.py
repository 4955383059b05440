"""What one object's faults may stop: the work on that object, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from localcluster.kubernetes.controller import events
from localcluster.kubernetes.errors import ApiError, Conflict, NotFound
from localcluster.kubernetes.state.kinds import Object
from localcluster.kubernetes.state.store import Store

log = logging.getLogger(__name__)


@contextmanager
def contained(store: Store, item: Object, component: str) -> Iterator[None]:
    """Go on with the next object where this one makes a controller fail; an Event and the log say so.

    The next round tries again.  Where it is the store that fails, so does the Event, and that is raised.
    """
    try:
        yield
    except (NotFound, Conflict) as error:
        log.info("an object changed during a round, going on with the next: %s", error)
    except Exception as error:
        words = str(error) if isinstance(error, ApiError) else f"the controller failed: {error!r}"
        if events.record(store, item, component, "InternalError", words, warning=True):
            metadata = item["metadata"]
            log.exception("%s %s/%s", item["kind"], metadata.get("namespace", ""), metadata["name"])
