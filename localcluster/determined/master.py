"""The master: what users and trials ask for, decided in one transaction each, then carried out by `runs`."""

from __future__ import annotations

import asyncio
import json
import shutil
import uuid
from typing import Any

from localcluster.determined import config as configuration
from localcluster.determined import searching
from localcluster.determined.errors import FailedPrecondition, InvalidArgument
from localcluster.determined.hub import Hub
from localcluster.determined.runs import LOGGER, Runs
from localcluster.determined.searcher import Action, Exit, Search
from localcluster.determined.state import checkpoints, experiments, metrics, trials, users
from localcluster.determined.state.database import Database, Row, now
from localcluster.files import secret
from localcluster.settings import Settings

INVALID_HP_GRACE = 10.0
"""Seconds that a trial gets to end by itself after it called its hyperparameters invalid."""


class Master:
    """One cluster of one machine; all methods run on the event loop."""

    def __init__(self, settings: Settings) -> None:
        root = settings.home / "determined"
        self.settings = settings
        self.checkpoints = root / "checkpoints"
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        self.db = Database(root / "master.sqlite")
        users.ensure_initial(self.db, secret(settings.home / "secrets" / "determined"))
        self.cluster_id = self.db.identity("cluster_id")
        self.master_id = str(uuid.uuid4())
        self.hub = Hub()
        self.runs = Runs(self.db, settings, self.hub, self.cluster_id, self._run_ended)

    def start(self) -> None:
        """Go on where the last master stopped."""
        self.runs.adopt()
        for row in checkpoints.deleted(self.db):
            self._delete_files(row)
        for row in experiments.find(self.db):
            if row["state"] not in experiments.TERMINAL:
                self._carry_out(row["id"])
        self.runs.schedule()

    async def stop(self) -> None:
        """End the running trials so that they resume at the next start, then wake everybody who waits."""
        await self.runs.stop()
        self.hub.close()

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
            experiment_id = experiments.create(
                self.db,
                config=config,
                original=original,
                model_definition=definition,
                user_id=user["id"],
                parent_id=body.get("parentId") or None,
            )
            searching.begin(self.db, experiment_id, config, search)
            self._move(experiment_id, "ACTIVE" if body.get("activate") else "PAUSED")
        self.runs.schedule()
        return experiment_id, config

    def activate(self, experiment_id: int) -> None:
        """Let a paused experiment go on."""
        self._move(experiment_id, "ACTIVE")
        self.runs.schedule()

    def pause(self, experiment_id: int) -> None:
        """Let the experiment's trials checkpoint and give their slots back."""
        self._move(experiment_id, "PAUSED")
        self._carry_out(experiment_id)

    def cancel(self, experiment_id: int) -> None:
        """End the experiment; its trials may checkpoint first."""
        self._move(experiment_id, "STOPPING_CANCELED")
        self._carry_out(experiment_id)

    def kill(self, experiment_id: int) -> None:
        """End the experiment and its processes at once."""
        self._move(experiment_id, "STOPPING_KILLED")
        self._carry_out(experiment_id)

    def kill_trial(self, trial_id: int) -> None:
        """End one trial at once."""
        trial = trials.get(self.db, trial_id)
        if trial["state"] in experiments.TERMINAL:
            raise FailedPrecondition(f"trial {trial_id} has already ended ({trial['state']})")
        with self.db.transaction():
            trials.set_state(self.db, trial_id, "STOPPING_KILLED")
        self._carry_out(trial["experiment_id"])

    def delete(self, experiment_id: int) -> None:
        """Delete an experiment that has ended, with its checkpoints; raises FailedPrecondition, InvalidArgument."""
        if experiments.get(self.db, experiment_id)["state"] not in experiments.TERMINAL:
            raise FailedPrecondition(f"experiment {experiment_id} has not ended: cancel or kill it first")
        held = checkpoints.find(self.db, experiment_id=experiment_id)
        checkpoints.require_unregistered(self.db, [row["uuid"] for row in held])
        with self.db.transaction():
            self.db.execute("DELETE FROM experiments WHERE id = ?", experiment_id)
        for row in held:
            self._delete_files(row)

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
            self._delete_files(row)

    def rendezvous(self, allocation: Row) -> None:
        """The trial's processes are all there: from now on it can be preempted."""
        with self.db.transaction():
            self.db.update("allocations", "id", allocation["id"], state="RUNNING")

    def acknowledge_preemption(self, allocation: Row) -> None:
        """The trial's code saw the preemption: its end is no failure."""
        with self.db.transaction():
            self.db.update("allocations", "id", allocation["id"], acknowledged=1)

    def report_metrics(self, allocation: Row, report: metrics.Report) -> None:
        """Store a metric report and, of a validation, tell the search; both or neither."""
        trial = trials.get(self.db, allocation["trial_id"])
        with self.db.transaction():
            metrics.add(self.db, allocation, report)
            if report.name == metrics.VALIDATION:
                self._validated(trial, report.average)
        if report.name == metrics.VALIDATION:
            self._carry_out(trial["experiment_id"])

    def report_progress(self, trial_id: int, fraction: float) -> None:
        """A trial says how far it is, 0 to 1."""
        trial = trials.get(self.db, trial_id)

        def progressed(search: Search) -> list[Action]:
            search.progressed(trial["number"], fraction)
            return []

        with self.db.transaction():
            searching.tell(self.db, trial["experiment_id"], progressed)

    def invalid_hyperparameters(self, allocation: Row) -> None:
        """The trial cannot run with these hyperparameters; it should end now."""
        with self.db.transaction():
            self.db.update("trials", "id", allocation["trial_id"], invalid_hp=1)
        self.runs.later(self.runs.end_after(allocation["id"], INVALID_HP_GRACE))

    def _validated(self, trial: Row, average: dict[str, Any]) -> None:
        experiment_id = trial["experiment_id"]
        try:
            searching.tell(self.db, experiment_id, lambda search: search.validated(trial["number"], average))
        except ValueError as error:
            LOGGER.error("experiment %d failed: %s", experiment_id, error)
            self.runs.note(trial["id"], "", "ERROR", f"the experiment failed: {error}")
            self._move(experiment_id, "STOPPING_ERROR", trial_state="STOPPING_KILLED")

    def _move(self, experiment_id: int, state: str, *, trial_state: str | None = None) -> None:
        """Bring an experiment and its open trials into a state; raises FailedPrecondition."""
        with self.db.transaction():
            experiments.set_state(self.db, experiment_id, state)
            for trial in trials.of_experiment(self.db, experiment_id):
                trials.set_state(self.db, trial["id"], trial_state or state)

    def _carry_out(self, experiment_id: int) -> None:
        """Do outside the database what the stored states of an experiment and its trials ask for."""
        for trial in trials.of_experiment(self.db, experiment_id):
            if trial["state"] != "PAUSED" and trial["state"] not in experiments.STOPPING:
                continue
            allocation = trials.live_allocation(self.db, trial["id"])
            if allocation is None:
                self._end_without_run(trial)
            elif trial["state"] == "STOPPING_KILLED":
                self.runs.terminate(allocation)
            elif not allocation["preempt"]:
                self.runs.interrupt(allocation, trial["state"])
        self._settle(experiment_id)
        self.runs.schedule()

    def _end_without_run(self, trial: Row) -> None:
        if trial["state"] not in experiments.STOPPING:
            return
        state = experiments.STOPPING[trial["state"]]
        with self.db.transaction():
            self._finish(trial, state, Exit.CANCELED if state == "CANCELED" else Exit.COMPLETED)
        self.hub.tell(("logs", trial["id"]))

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

    def _run_ended(self, trial: Row, allocation: Row, code: int | None) -> None:
        """A run is over and its log complete: decide what becomes of the trial."""
        with self.db.transaction():
            self.db.update("allocations", "id", allocation["id"], state="TERMINATED", end_time=now())
            end = self._verdict(trial, allocation, code)
            if end is not None:
                self._finish(trial, *end)
        self.hub.tell(("logs", trial["id"]))
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
            self.runs.note(trial["id"], allocation["id"], "ERROR", text)
            return "ERROR", Exit.ERRORED
        trials.count_restart(self.db, trial)
        latest = trials.resume_point(self.db, trial)
        point = f"checkpoint {latest['uuid']}" if latest else "the beginning"
        text = f"trial {trial['id']} failed ({why}); restart {trial['restarts'] + 1} of {limit} goes on from {point}"
        self.runs.note(trial["id"], allocation["id"], "WARNING", text)
        return None

    def _finish(self, trial: Row, state: str, how: Exit) -> None:
        trials.set_state(self.db, trial["id"], state)
        searching.tell(self.db, trial["experiment_id"], lambda search: search.exited(trial["number"], how))

    def _delete_files(self, row: Row) -> None:
        directory = configuration.storage_root(json.loads(row["config"])) / str(uuid.UUID(row["uuid"]))
        if directory.exists():
            self.runs.later(asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True))
