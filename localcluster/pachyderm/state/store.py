"""One pachd's storage as a whole: opening it, cleaning up after a crash, and proving that nothing is damaged."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from localcluster.pachyderm.blobs import Blobs
from localcluster.pachyderm.clock import now
from localcluster.pachyderm.logs import Logs
from localcluster.pachyderm.names import DEFAULT_PROJECT
from localcluster.pachyderm.state import jobs, trees
from localcluster.pachyderm.state.database import Database
from localcluster.pachyderm.state.datums import Datum


class Store:
    """The database, the blobs and the logs below one directory, which only one process may have open.

    `scratch` is where datums are worked on; nothing in it outlives the process.  `restarts` has, for each job at work
    (its row number), what ends the processes of some datums so that they are tried again, and tells whether there were.
    """

    def __init__(self, root: Path) -> None:
        """Open or create it.  Raises LocalClusterError where another process has it open."""
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.logs = Logs(root / "logs")
        self.database = Database(root / "pachd.sqlite", self.logs.wake)
        self.blobs = Blobs(root)
        self.scratch = root / "scratch"
        self.restarts: dict[int, Callable[[Callable[[Datum], bool]], bool]] = {}
        with self.database.write() as tx:
            tx.execute("INSERT OR IGNORE INTO projects VALUES (?, '', ?)", (DEFAULT_PROJECT, now()))
            row = tx.execute("SELECT id, deployment_id FROM cluster").fetchone()
            if row is None:
                row = (uuid.uuid4().hex, uuid.uuid4().hex)
                tx.execute("INSERT INTO cluster VALUES (?, ?)", row)
            referenced = trees.referenced_blobs(tx)
            known: dict[int, set[int]] = {row[0]: set() for row in tx.execute("SELECT number FROM pipelines")}
            for job in jobs.select(tx, ""):
                known[job.pipeline].add(job.number)
        self.cluster_id, self.deployment_id = row
        self.blobs.collect(referenced)
        self.logs.collect(known)

    def fsck(self) -> Iterator[str]:
        """Check the database's own integrity and every stored byte; yield one sentence for each fault."""
        with self.database.read() as tx:
            faults = [row[0] for row in tx.execute("PRAGMA integrity_check")]
            faults += [f"foreign key of row {row[1]} in {row[0]}" for row in tx.execute("PRAGMA foreign_key_check")]
            referenced = trees.referenced_blobs(tx)
        yield from (f"database: {fault}" for fault in faults if fault != "ok")
        yield from self.blobs.damaged(referenced)
