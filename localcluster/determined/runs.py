"""The runs of trials: who gets slots, starting and watching their agents, ending them softly or hard.

What a run's end means for its trial is the master's decision (`on_end`).  What happens outside the database follows a
commit and is derived again from the database when a master starts.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from localcluster.determined import scheduler
from localcluster.determined.agent import layout
from localcluster.determined.hub import Hub
from localcluster.determined.launcher import Launcher
from localcluster.determined.state import experiments, logs, trials
from localcluster.determined.state.database import Database, Row, now
from localcluster.settings import Settings

LOGGER = logging.getLogger("determined.master")

SHUTDOWN_GRACE = 10.0
"""Seconds that running trials get to checkpoint when the master is told to end."""
SPOOL_CHUNK = 1 << 20
"""Bytes of a spool that are taken in one transaction."""


class Runs:
    """The allocations of one cluster; all methods run on the event loop."""

    def __init__(
        self, db: Database, settings: Settings, hub: Hub, on_end: Callable[[Row, Row, int | None], None]
    ) -> None:
        self._db, self._settings, self._hub, self._on_end = db, settings, hub, on_end
        self._launcher = Launcher(settings, db.identity("cluster_id"))
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None

    def adopt(self) -> None:
        """Take over the agents that live, and settle the runs that ended without a master."""
        live = trials.live_allocations(self._db)
        self._launcher.sweep({allocation["id"] for allocation in live})
        for allocation in live:
            if not self._launcher.began(allocation["id"]):
                self._db.update("allocations", "id", allocation["id"], ending="never started")
            LOGGER.info("taking over allocation %s", allocation["id"])
            self._watch(allocation["id"])
            if trials.get(self._db, allocation["trial_id"])["state"] == "STOPPING_KILLED":
                self.terminate(allocation)
            elif allocation["preempt"]:
                self.later(self.end_after(allocation["id"], self._preemption_timeout(allocation)))

    async def stop(self) -> None:
        """End all runs so that their trials resume at the next start."""
        self._stopping = True
        for allocation in trials.live_allocations(self._db):
            self.interrupt(allocation, "shutdown")
        await self._until_idle()
        for allocation in trials.live_allocations(self._db):
            self.terminate(allocation)
        await self._until_idle()

    def schedule(self) -> None:
        """Start the trials that the free slots allow."""
        if self._stopping:
            return
        time = now()
        waiting = trials.waiting(self._db)
        self._wake_at(min((t["not_before"] for t in waiting if (t["not_before"] or "") > time), default=None))
        ready = {trial["id"]: trial for trial in waiting if (trial["not_before"] or "") <= time}
        queue = [scheduler.Wanted(t["id"], t["experiment_id"], t["slots"], t["max_slots"]) for t in ready.values()]
        used = {t.experiment_id: trials.slots_used(self._db, t.experiment_id) for t in queue}
        for wanted in scheduler.choose(queue, self._settings.slots - trials.slots_used(self._db), used):
            self._launch(ready[wanted.trial_id], wanted.slots)

    def interrupt(self, allocation: Row, reason: str) -> None:
        """Ask a running trial to checkpoint and end; end at once one that has not begun to run the user's code."""
        self._db.update("allocations", "id", allocation["id"], preempt=1, ending=reason)
        if allocation["state"] != "RUNNING":
            self.terminate(allocation)
            return
        self._hub.tell(("preempt", allocation["id"]))
        if not self._stopping:
            self.later(self.end_after(allocation["id"], self._preemption_timeout(allocation)))

    def limit(self, experiment_id: int, max_slots: int | None) -> None:
        """Interrupt the newest runs of an experiment that holds more than `max_slots`."""
        used = trials.slots_used(self._db, experiment_id)
        for allocation in reversed(trials.live_allocations(self._db, experiment_id)):
            if max_slots is None or used <= max_slots:
                return
            used -= allocation["slots"]
            if not allocation["preempt"]:
                self.interrupt(allocation, "max_slots")

    def terminate(self, allocation: Row) -> None:
        """Kill the run's processes."""
        self.later(self._launcher.terminate(allocation["id"]))

    async def end_after(self, allocation_id: str, seconds: float) -> None:
        """Kill the run's processes unless they end by themselves within `seconds`."""
        if not await self._hub.until(
            lambda: self._stopping or not trials.is_live(self._db, allocation_id), "ended", seconds
        ):
            await self._launcher.terminate(allocation_id)

    async def preempted(self, allocation_id: str, seconds: float) -> bool:
        """Wait up to `seconds` for the order to end; the answer comes the moment it is given."""
        return await self._hub.until(
            lambda: bool(trials.allocation(self._db, allocation_id)["preempt"]), ("preempt", allocation_id), seconds
        )

    def take_spool(self, allocation_id: str) -> None:
        """Read what the agent spooled since the last time and wake the followers."""
        if not trials.is_live(self._db, allocation_id):
            return
        if self._take(allocation_id):
            asyncio.get_running_loop().call_soon(self.take_spool, allocation_id)

    def _take(self, allocation_id: str) -> bool:
        """Store the spool's next whole lines, exactly once, for the offset is stored with them; False for none."""
        allocation = trials.allocation(self._db, allocation_id)
        path = self._launcher.directory(allocation_id) / layout.SPOOL
        if not path.exists():
            return False
        with path.open("rb") as spool:
            spool.seek(allocation["spooled"])
            data = spool.read(SPOOL_CHUNK)
        whole = data[: data.rfind(b"\n") + 1]
        if not whole:
            return False
        lines = [logs.Line(**json.loads(line)) for line in whole.splitlines()]
        with self._db.transaction():
            logs.append(self._db, allocation["trial_id"], allocation_id, lines)
            self._db.update("allocations", "id", allocation_id, spooled=allocation["spooled"] + len(whole))
        self._hub.tell(("logs", allocation["trial_id"]))
        return True

    def note(self, trial_id: int, allocation_id: str, level: str, text: str) -> None:
        """Put a line of the master's own into a trial's log."""
        line = logs.Line(timestamp=now(), log=text, level=level, source="master", stdtype="stderr")
        logs.append(self._db, trial_id, allocation_id, [line])

    def later(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run `work` in the background; a failure is logged."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _launch(self, trial: Row, slots: int) -> None:
        with self._db.transaction():
            latest = trials.resume_point(self._db, trial)
            allocation, token = trials.allocate(self._db, trial, slots)
        checkpoint = latest["uuid"] if latest else trial["warm_start"]
        try:
            self._launcher.start(trial, allocation, token, checkpoint, json.loads(trial["config"]))
        except OSError as error:
            self.note(trial["id"], allocation["id"], "ERROR", f"the trial's agent could not be started: {error}")
        self._watch(allocation["id"])

    def _watch(self, allocation_id: str) -> None:
        async def watch() -> None:
            code = await self._launcher.ended(allocation_id)
            while self._take(allocation_id):
                await asyncio.sleep(0)
            allocation = trials.allocation(self._db, allocation_id)
            self._on_end(trials.get(self._db, allocation["trial_id"]), allocation, code)
            self._hub.tell("ended")
            self._launcher.remove(allocation_id)

        self.later(watch())

    def _preemption_timeout(self, allocation: Row) -> float:
        experiment_id = trials.get(self._db, allocation["trial_id"])["experiment_id"]
        return float(experiments.configuration(self._db, experiment_id)["preemption_timeout"])

    def _wake_at(self, moment: str | None) -> None:
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
        if moment:
            delay = (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()
            self._alarm = asyncio.get_running_loop().call_later(max(0.0, delay), self.schedule)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            LOGGER.error("a background task failed", exc_info=error)

    async def _until_idle(self) -> None:
        await self._hub.until(lambda: not trials.live_allocations(self._db), "ended", SHUTDOWN_GRACE)
