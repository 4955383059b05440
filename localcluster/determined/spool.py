"""Reading the agents' spools into the database, exactly once: the offset is stored together with the lines."""

from __future__ import annotations

import json
from pathlib import Path

from localcluster.determined.agent import layout
from localcluster.determined.state import logs
from localcluster.determined.state.database import Database, Row

CHUNK = 1 << 20
"""Bytes taken in one transaction."""


def take(db: Database, allocation: Row, directory: Path) -> bool:
    """Store the next whole lines beyond the allocation's offset; False where there are none."""
    path = directory / layout.SPOOL
    if not path.exists():
        return False
    with path.open("rb") as spool:
        spool.seek(allocation["spooled"])
        data = spool.read(CHUNK)
    whole = data[: data.rfind(b"\n") + 1]
    if not whole:
        return False
    lines = [logs.Line(**json.loads(line)) for line in whole.splitlines()]
    with db.transaction():
        logs.append(db, allocation["trial_id"], allocation["id"], lines)
        db.update("allocations", "id", allocation["id"], spooled=allocation["spooled"] + len(whole))
    return True
