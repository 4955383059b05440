"""The master: lets searches, trials, slots and agents act together, and carries on after a crash.

Every decision is a transaction on the database; what follows from it outside (starting an agent, a signal, a wake-up)
happens after the commit and is derived again from the database when a master starts.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import uuid
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from localcluster.determined import config as configuration
from localcluster.determined import scheduler, spool
from localcluster.determined.errors import FailedPrecondition, InvalidArgument
from localcluster.determined.hub import Hub
from localcluster.determined.launcher import Launcher
from localcluster.determined.searcher import Action, Create, Exit, Search, Shutdown, Stop
from localcluster.determined.state import checkpoints, experiments, logs, metrics, trials, users
from localcluster.determined.state.database import Database, Row, now
from localcluster.files import secret
from localcluster.settings import Settings

LOGGER = logging.getLogger("determined.master")

SHUTDOWN_GRACE = 10.0
"""Seconds that running trials get to checkpoint when the master is told to end."""

INVALID_HP_GRACE = 10.0
"""Seconds that a trial gets to end by itself after it called its hyperparameters invalid."""


class Master:
    """One cluster of one machine; all methods run on the event loop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.root = settings.home / "determined"
        self.checkpoints = self.root / "checkpoints"
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        self.db = Database(self.root / "master.sqlite")
        users.ensure_initial(self.db, secret(settings.home / "secrets" / "determined"))
        self.cluster_id = self._identity("cluster_id")
        self.master_id = str(uuid.uuid4())
        self.hub = Hub()
        self._launcher = Launcher(settings, self.cluster_id)
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Adopt the agents that live, settle what ended without a master, and fill the free slots."""
        for allocation in trials.live_allocations(self.db):
            if not self._launcher.began(allocation["id"]):
                self.db.update("allocations", "id", allocation["id"], ending="never started")
            elif self._launcher.lives(allocation["id"]):
                LOGGER.info("adopting the agent of allocation %s", allocation["id"])
            self._watch(allocation["id"])
            if trials.get(self.db, allocation["trial_id"])["state"] == "STOPPING_KILLED":
                self._later(self._launcher.terminate(allocation["id"]))
            elif allocation["preempt"]:
                self._later(self._end_after(allocation["id"], self._preemption_timeout(allocation)))
        for row in self.db.rows(
            "SELECT uuid, config, trial_id FROM checkpoints"
            " JOIN trials ON trials.id = trial_id JOIN experiments ON experiments.id = experiment_id"
            " WHERE checkpoints.state = 'DELETED'"
        ):
            self._delete_files(json.loads(row["config"]), row["uuid"])
        self._schedule()

    async def stop(self) -> None:
        """End the running trials so that they resume at the next start, then wake everybody who waits."""
        self._stopping = True
        for allocation in trials.live_allocations(self.db):
            self._interrupt(allocation, "shutdown")
        await self._until_idle(SHUTDOWN_GRACE)
        for allocation in trials.live_allocations(self.db):
            self._later(self._launcher.terminate(allocation["id"]))
        await self._until_idle(SHUTDOWN_GRACE)
        self.hub.close()

    # Experiments

    def create_experiment(self, body: dict[str, Any], user: Row) -> tuple[int, dict[str, Any]]:
        """Store and, where `activate` says so, start an experiment; `validateOnly` stores nothing and returns id 0.

        `body` is a v1CreateExperimentRequest.  Returns the id and the completed configuration.
        """
        if body.get("unmanaged"):
            raise InvalidArgument("unmanaged: the local master runs managed experiments only")
        original = body.get("config") or ""
        config = configuration.complete(original, self.checkpoints, self.settings.slots)
        seed = config["reproducibility"]["experiment_seed"]
        search = Search.from_config(config["searcher"], config["hyperparameters"], seed)
        definition = experiments.model_definition(body.get("modelDefinition") or [])
        if body.get("validateOnly"):
            return 0, config
        with self.db.transaction():
            warm_start = self._warm_start(config["searcher"])
            experiment_id = experiments.create(
                self.db,
                config=config,
                original=original,
                model_definition=definition,
                user_id=user["id"],
                parent_id=body.get("parentId") or None,
                search={},
            )
            for action in search.start():
                if isinstance(action, Create):
                    trials.create(self.db, experiment_id, action.index, action.hparams, action.seed, warm_start)
            experiments.save_search(self.db, experiment_id, search.snapshot(), 0.0)
            if body.get("activate"):
                experiments.set_state(self.db, experiment_id, "ACTIVE")
            else:
                self._set_open_trials(experiment_id, "PAUSED")
        self._schedule()
        return experiment_id, config

    def activate(self, experiment_id: int) -> None:
        """Let a paused experiment go on."""
        with self.db.transaction():
            experiments.set_state(self.db, experiment_id, "ACTIVE")
            self._set_open_trials(experiment_id, "ACTIVE")
        self._schedule()

    def pause(self, experiment_id: int) -> None:
        """Let the experiment's trials checkpoint and give their slots back."""
        with self.db.transaction():
            experiments.set_state(self.db, experiment_id, "PAUSED")
            self._set_open_trials(experiment_id, "PAUSED")
        self._interrupt_trials(experiment_id, "pause")

    def cancel(self, experiment_id: int) -> None:
        """End the experiment; its trials may checkpoint first."""
        self._end_experiment(experiment_id, "STOPPING_CANCELED")
        self._interrupt_trials(experiment_id, "cancel")

    def kill(self, experiment_id: int) -> None:
        """End the experiment and its processes at once."""
        self._end_experiment(experiment_id, "STOPPING_KILLED")
        self._terminate_trials(experiment_id)

    def kill_trial(self, trial_id: int) -> None:
        """End one trial at once."""
        trial = trials.get(self.db, trial_id)
        if trial["state"] in experiments.TERMINAL:
            raise FailedPrecondition(f"trial {trial_id} has already ended ({trial['state']})")
        with self.db.transaction():
            trials.set_state(self.db, trial_id, "STOPPING_KILLED")
        allocation = trials.live_allocation(self.db, trial_id)
        if allocation is None:
            self._finish(trial_id, "CANCELED", Exit.CANCELED)
            return
        self._later(self._launcher.terminate(allocation["id"]))

    def delete(self, experiment_id: int) -> None:
        """Delete an experiment that has ended, with its checkpoints; raises FailedPrecondition, InvalidArgument."""
        experiment = experiments.get(self.db, experiment_id)
        if experiment["state"] not in experiments.TERMINAL:
            raise FailedPrecondition(f"experiment {experiment_id} has not ended: cancel or kill it first")
        held = [row["uuid"] for row in checkpoints.find(self.db, experiment_id=experiment_id)]
        checkpoints.require_unregistered(self.db, held)
        with self.db.transaction():
            self.db.execute("DELETE FROM experiments WHERE id = ?", experiment_id)
        for name in held:
            self._delete_files(json.loads(experiment["config"]), name)

    def collect_garbage(self, experiment_id: int) -> None:
        """Delete the checkpoints that the storage policy does not keep."""
        self.delete_checkpoints(checkpoints.expendable(self.db, experiment_id))

    def delete_checkpoints(self, names: list[str]) -> None:
        """Delete checkpoints; raises NotFound, and InvalidArgument for registered ones, before deleting any."""
        rows = [checkpoints.get(self.db, name) for name in names]
        checkpoints.require_unregistered(self.db, names)
        with self.db.transaction():
            for row in rows:
                self.db.update("checkpoints", "uuid", row["uuid"], state="DELETED", resources={})
        for row in rows:
            self._delete_files(json.loads(row["config"]), row["uuid"])

    # What trials tell

    def rendezvous(self, allocation: Row) -> None:
        """The trial's processes are all there: from now on it can be preempted."""
        if allocation["state"] != "RUNNING":
            with self.db.transaction():
                self.db.update("allocations", "id", allocation["id"], state="RUNNING")

    def acknowledge_preemption(self, allocation: Row) -> None:
        """The trial's code saw the preemption: its end is no failure."""
        with self.db.transaction():
            self.db.update("allocations", "id", allocation["id"], acknowledged=1)

    async def preempted(self, allocation_id: str, seconds: float) -> bool:
        """Wait up to `seconds` for the order to end; the answer comes the moment it is given."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not trials.allocation(self.db, allocation_id)["preempt"]:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or self.hub.closing:
                return False
            await self.hub.wait(("preempt", allocation_id), left)
        return True

    def report_metrics(
        self, allocation: Row, name: str, steps: int, report: dict[str, Any], end_time: str | None
    ) -> None:
        """Store a metric report and, of a validation, tell the search; both or neither."""
        average = report.get("avgMetrics") or {}
        trial = trials.get(self.db, allocation["trial_id"])
        with self.db.transaction():
            metrics.report(
                self.db,
                allocation,
                name=name,
                steps=steps,
                average=average,
                batches=report.get("batchMetrics"),
                end_time=end_time,
            )
            if name == metrics.VALIDATION:
                self._tell_search(trial["experiment_id"], lambda search: search.validated(trial["number"], average))
        self.hub.tell(("metrics", trial["id"]))
        self._carry_out(trial["experiment_id"])

    def report_progress(self, trial_id: int, fraction: float) -> None:
        """A trial says how far it is, 0 to 1."""
        trial = trials.get(self.db, trial_id)

        def progressed(search: Search) -> list[Action]:
            search.progressed(trial["number"], fraction)
            return []

        with self.db.transaction():
            self._tell_search(trial["experiment_id"], progressed)

    def invalid_hyperparameters(self, allocation: Row) -> None:
        """The trial cannot run with these hyperparameters; it should end now."""
        with self.db.transaction():
            self.db.update("trials", "id", allocation["trial_id"], invalid_hp=1)
        self._later(self._end_after(allocation["id"], INVALID_HP_GRACE))

    def take_spool(self, allocation_id: str) -> None:
        """Read what the agent spooled since the last time and wake the followers."""
        allocation = trials.allocation(self.db, allocation_id)
        if not spool.take(self.db, allocation, self._launcher.directory(allocation_id)):
            return
        self.hub.tell(("logs", allocation["trial_id"]))
        asyncio.get_running_loop().call_soon(self.take_spool, allocation_id)

    # The search

    def _tell_search(self, experiment_id: int, event: Callable[[Search], list[Action]]) -> None:
        """Give the search an event and store what it decides; inside the caller's transaction."""
        experiment = experiments.get(self.db, experiment_id)
        config = json.loads(experiment["config"])
        search = Search.restored(
            config["searcher"],
            config["hyperparameters"],
            config["reproducibility"]["experiment_seed"],
            json.loads(experiment["search"]),
        )
        try:
            actions = event(search)
        except ValueError as error:
            self._fail_experiment(experiment_id, str(error))
            return
        experiments.save_search(self.db, experiment_id, search.snapshot(), search.progress())
        if experiment["state"] not in ("ACTIVE", "PAUSED"):
            return
        for action in actions:
            if isinstance(action, Create):
                created = trials.create(
                    self.db,
                    experiment_id,
                    action.index,
                    action.hparams,
                    action.seed,
                    self._warm_start(config["searcher"]),
                )
                trials.set_state(self.db, created, experiment["state"])
            elif isinstance(action, Stop):
                row = self.db.row(
                    "SELECT id FROM trials WHERE experiment_id = ? AND number = ?", experiment_id, action.index
                )
                if row:
                    trials.set_state(self.db, row["id"], "STOPPING_COMPLETED")
            elif isinstance(action, Shutdown):
                outcome = {Exit.ERRORED: "STOPPING_ERROR", Exit.CANCELED: "STOPPING_CANCELED"}
                experiments.set_state(self.db, experiment_id, outcome.get(action.outcome, "STOPPING_COMPLETED"))

    def _carry_out(self, experiment_id: int) -> None:
        """Do what the stored decisions ask for outside the database."""
        for trial in trials.of_experiment(self.db, experiment_id):
            if trial["state"] != "STOPPING_COMPLETED":
                continue
            allocation = trials.live_allocation(self.db, trial["id"])
            if allocation is None:
                self._finish(trial["id"], "COMPLETED", Exit.COMPLETED)
            elif not allocation["preempt"]:
                self._interrupt(allocation, "stop")
        self._settle(experiment_id)
        self._schedule()

    def _fail_experiment(self, experiment_id: int, reason: str) -> None:
        LOGGER.error("experiment %d failed: %s", experiment_id, reason)
        experiments.set_state(self.db, experiment_id, "STOPPING_ERROR")
        for trial in trials.of_experiment(self.db, experiment_id):
            if trial["state"] not in experiments.TERMINAL:
                self._note(trial["id"], "", "ERROR", f"experiment failed: {reason}")
                trials.set_state(self.db, trial["id"], "STOPPING_KILLED")
        asyncio.get_running_loop().call_soon(self._terminate_trials, experiment_id)

    def _settle(self, experiment_id: int) -> None:
        """End a stopping experiment once its last trial has ended."""
        state = experiments.get(self.db, experiment_id)["state"]
        if state not in experiments.STOPPING:
            return
        if any(t["state"] not in experiments.TERMINAL for t in trials.of_experiment(self.db, experiment_id)):
            return
        with self.db.transaction():
            experiments.set_state(self.db, experiment_id, experiments.STOPPING[state])
        self.collect_garbage(experiment_id)

    # Slots and agents

    def _schedule(self) -> None:
        """Start the trials that the free slots allow."""
        if self._stopping:
            return
        time = now()
        waiting = trials.waiting(self.db)
        by_id = {trial["id"]: trial for trial in waiting if (trial["not_before"] or "") <= time}
        self._wake_at(min((t["not_before"] for t in waiting if (t["not_before"] or "") > time), default=None))
        configs = {trial_id: json.loads(trial["config"]) for trial_id, trial in by_id.items()}
        queue = [
            scheduler.Wanted(
                trial_id,
                trial["experiment_id"],
                configs[trial_id]["resources"]["slots_per_trial"],
                configs[trial_id]["resources"]["max_slots"],
            )
            for trial_id, trial in by_id.items()
        ]
        used = {t.experiment_id: trials.slots_used(self.db, t.experiment_id) for t in queue}
        for wanted in scheduler.choose(queue, self.settings.slots - trials.slots_used(self.db), used):
            self._launch(by_id[wanted.trial_id], configs[wanted.trial_id], wanted.slots)

    def _launch(self, trial: Row, config: dict[str, Any], slots: int) -> None:
        with self.db.transaction():
            latest = trials.resume_point(self.db, trial)
            allocation, token = trials.allocate(self.db, trial, slots)
        name = latest["uuid"] if latest else trial["warm_start"]
        try:
            self._launcher.start(trial, allocation, token, name, config)
        except OSError as error:
            self._note(trial["id"], allocation["id"], "ERROR", f"the trial's agent could not be started: {error}")
        self._watch(allocation["id"])

    def _watch(self, allocation_id: str) -> None:
        async def watch() -> None:
            code = await self._launcher.ended(allocation_id)
            self._ended(allocation_id, code)

        self._later(watch())

    def _ended(self, allocation_id: str, code: int | None) -> None:
        """An agent is gone: take its last lines, then decide what becomes of the trial."""
        directory = self._launcher.directory(allocation_id)
        while spool.take(self.db, trials.allocation(self.db, allocation_id), directory):
            continue
        allocation = trials.allocation(self.db, allocation_id)
        trial = trials.get(self.db, allocation["trial_id"])
        with self.db.transaction():
            self.db.update("allocations", "id", allocation_id, state="TERMINATED", end_time=now())
            end = self._verdict(trial, allocation, code)
            if end is None:
                LOGGER.info("trial %d left its slots and will go on later", trial["id"])
            else:
                self._finish_in_transaction(trial, *end)
        self.hub.tell(("logs", trial["id"]))
        self.hub.tell(("ended", None))
        self._launcher.remove(allocation_id)
        self._carry_out(trial["experiment_id"])

    def _verdict(self, trial: Row, allocation: Row, code: int | None) -> tuple[str, Exit] | None:
        """Return how the trial ended, or None where another run follows (a failure is counted here)."""
        if trial["state"] in ("STOPPING_KILLED", "STOPPING_CANCELED"):
            return "CANCELED", Exit.CANCELED
        if trial["invalid_hp"]:
            return "COMPLETED", Exit.INVALID_HP
        if trial["state"] == "STOPPING_COMPLETED":
            return "COMPLETED", Exit.COMPLETED
        if allocation["acknowledged"] or (allocation["ending"] and code != 0):
            return None
        if code == 0:
            return "COMPLETED", Exit.COMPLETED
        why = "its agent was killed" if code is None else f"exit code {code}"
        limit = json.loads(experiments.get(self.db, trial["experiment_id"])["config"])["max_restarts"]
        if trial["restarts"] >= limit:
            text = f"trial {trial['id']} failed ({why}) and has used its {limit} restarts (max_restarts)"
            self._note(trial["id"], allocation["id"], "ERROR", text)
            self.db.update("trials", "id", trial["id"], restarts=trial["restarts"])
            return "ERROR", Exit.ERRORED
        trials.count_restart(self.db, trial)
        latest = trials.resume_point(self.db, trial)
        point = f"checkpoint {latest['uuid']}" if latest else "the beginning"
        text = f"trial {trial['id']} failed ({why}); restart {trial['restarts'] + 1} of {limit} goes on from {point}"
        self._note(trial["id"], allocation["id"], "WARNING", text)
        return None

    def _finish(self, trial_id: int, state: str, how: Exit) -> None:
        """End a trial that has no processes."""
        trial = trials.get(self.db, trial_id)
        with self.db.transaction():
            self._finish_in_transaction(trial, state, how)
        self.hub.tell(("logs", trial_id))
        self._settle(trial["experiment_id"])
        self._schedule()

    def _finish_in_transaction(self, trial: Row, state: str, how: Exit) -> None:
        trials.set_state(self.db, trial["id"], state)
        self._tell_search(trial["experiment_id"], lambda search: search.exited(trial["number"], how))

    def _interrupt(self, allocation: Row, reason: str) -> None:
        """Ask a running trial to checkpoint and end; end at once one that has not begun to run the user's code."""
        allocation_id = allocation["id"]
        with self.db.transaction():
            self.db.update("allocations", "id", allocation_id, preempt=1, ending=reason)
        if allocation["state"] != "RUNNING":
            self._later(self._launcher.terminate(allocation_id))
            return
        self.hub.tell(("preempt", allocation_id))
        if not self._stopping:
            self._later(self._end_after(allocation_id, self._preemption_timeout(allocation)))

    def _preemption_timeout(self, allocation: Row) -> float:
        trial = trials.get(self.db, allocation["trial_id"])
        config = json.loads(experiments.get(self.db, trial["experiment_id"])["config"])
        return float(config["preemption_timeout"])

    async def _end_after(self, allocation_id: str, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while trials.allocation(self.db, allocation_id)["state"] != "TERMINATED" and not self._stopping:
            if loop.time() >= deadline:
                await self._launcher.terminate(allocation_id)
                return
            await self.hub.wait(("ended", None), deadline - loop.time())

    def _interrupt_trials(self, experiment_id: int, reason: str) -> None:
        for trial in trials.of_experiment(self.db, experiment_id):
            allocation = trials.live_allocation(self.db, trial["id"])
            if allocation:
                self._interrupt(allocation, reason)
            elif trial["state"] in experiments.STOPPING:
                self._finish(trial["id"], "CANCELED", Exit.CANCELED)

    def _terminate_trials(self, experiment_id: int) -> None:
        for trial in trials.of_experiment(self.db, experiment_id):
            allocation = trials.live_allocation(self.db, trial["id"])
            if allocation:
                self._later(self._launcher.terminate(allocation["id"]))
            elif trial["state"] in experiments.STOPPING:
                self._finish(trial["id"], "CANCELED", Exit.CANCELED)

    # Small helpers

    def _end_experiment(self, experiment_id: int, state: str) -> None:
        with self.db.transaction():
            experiments.set_state(self.db, experiment_id, state)
            self._set_open_trials(experiment_id, state)
        self._settle(experiment_id)

    def _set_open_trials(self, experiment_id: int, state: str) -> None:
        for trial in trials.of_experiment(self.db, experiment_id):
            trials.set_state(self.db, trial["id"], state)

    def _warm_start(self, searcher: dict[str, Any]) -> str | None:
        if searcher.get("source_checkpoint_uuid"):
            return str(checkpoints.get(self.db, searcher["source_checkpoint_uuid"])["uuid"])
        if searcher.get("source_trial_id"):
            source = trials.resume_point(self.db, trials.get(self.db, searcher["source_trial_id"]))
            if source is None:
                raise InvalidArgument(
                    f"searcher.source_trial_id: trial {searcher['source_trial_id']} has no checkpoint"
                )
            return str(source["uuid"])
        return None

    def _note(self, trial_id: int, allocation_id: str, level: str, text: str) -> None:
        """Put a line of the master's own into a trial's log."""
        line = logs.Line(timestamp=now(), log=text, level=level, source="master", stdtype="stderr")
        with self.db.transaction():
            logs.append(self.db, trial_id, allocation_id, [line])

    def _delete_files(self, config: dict[str, Any], name: str) -> None:
        directory = configuration.storage_root(config) / str(uuid.UUID(name))
        if directory.exists():
            self._later(asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True))

    def _identity(self, key: str) -> str:
        with self.db.transaction():
            self.db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", key, str(uuid.uuid4()))
        row = self.db.row("SELECT value FROM meta WHERE key = ?", key)
        return str(row["value"]) if row else ""

    def _wake_at(self, moment: str | None) -> None:
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
        if moment:
            delay = (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()
            self._alarm = asyncio.get_running_loop().call_later(max(0.0, delay), self._schedule)

    def _later(self, work: Coroutine[Any, Any, Any]) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            LOGGER.error("a background task failed", exc_info=error)

    async def _until_idle(self, seconds: float) -> None:
        """Wait until no allocation lives, at most `seconds`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while trials.live_allocations(self.db) and loop.time() < deadline:
            await self.hub.wait(("ended", None), deadline - loop.time())
