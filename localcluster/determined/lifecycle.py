"""How experiments and trials go from state to state, and what follows: runs that end, searches told, files deleted.

Every decision is one transaction; what it asks for outside the database is derived from the stored states
(`carry_out`), so a master that was killed does it after its next start.
"""

from __future__ import annotations

from typing import Any

from localcluster.determined import searching, storage
from localcluster.determined.hub import Hub
from localcluster.determined.runs import LOGGER, Runs
from localcluster.determined.searcher import Exit
from localcluster.determined.state import checkpoints, experiments, trials
from localcluster.determined.state.database import Database, Row, now
from localcluster.settings import Settings


class Lifecycle:
    """The states of all experiments and trials, and their runs; all methods run on the event loop."""

    def __init__(self, db: Database, settings: Settings, hub: Hub) -> None:
        self._db, self._hub = db, hub
        self.runs = Runs(db, settings, hub, self._run_ended)

    def start(self) -> None:
        """Go on where the last master stopped."""
        self.runs.adopt()
        self.runs.later(storage.finish(self._db))
        for experiment_id in experiments.in_states(self._db, "ACTIVE", "PAUSED", *experiments.STOPPING):
            self.carry_out(experiment_id)
        self.runs.schedule()

    def move(self, experiment_id: int, state: str, *, trial_state: str | None = None) -> None:
        """Bring an experiment and its open trials into a state; raises FailedPrecondition."""
        with self._db.transaction():
            experiments.set_state(self._db, experiment_id, state)
            for trial in trials.of_experiment(self._db, experiment_id):
                trials.set_state(self._db, trial["id"], trial_state or state)

    def carry_out(self, experiment_id: int) -> None:
        """Do outside the database what the stored states of an experiment and its trials ask for."""
        for trial in trials.of_experiment(self._db, experiment_id):
            if trial["state"] not in ("PAUSED", *experiments.STOPPING):
                continue
            allocation = trials.live_allocation(self._db, trial["id"])
            if allocation is None:
                if trial["state"] in experiments.STOPPING:
                    self._end_without_run(trial)
            elif trial["state"] == "STOPPING_KILLED":
                self.runs.terminate(allocation)
            elif not allocation["preempt"]:
                if trial["state"] == "STOPPING_COMPLETED":
                    text = f"the search stops trial {trial['id']}: it may checkpoint, and ends"
                    self.runs.note(trial["id"], allocation["id"], "INFO", text)
                self.runs.interrupt(allocation, trial["state"])
        self._settle(experiment_id)
        self.runs.schedule()

    def validated(self, trial: Row, average: dict[str, Any]) -> bool:
        """Tell the search what a trial reported, and say whether something is to be carried out.

        The experiment fails where the search cannot use the report.
        """
        experiment_id = trial["experiment_id"]
        try:
            return searching.tell(self._db, experiment_id, lambda search: search.validated(trial["number"], average))
        except ValueError as error:
            LOGGER.error("experiment %d failed: %s", experiment_id, error)
            for other in trials.of_experiment(self._db, experiment_id):
                if other["state"] not in experiments.TERMINAL:
                    text = f"the experiment fails because of trial {trial['id']}: {error}"
                    self.runs.note(other["id"], "", "ERROR", text)
            self.move(experiment_id, "STOPPING_ERROR", trial_state="STOPPING_KILLED")
            return True

    def _end_without_run(self, trial: Row) -> None:
        state = experiments.STOPPING[trial["state"]]
        with self._db.transaction():
            self._finish(trial, state, Exit.CANCELED if state == "CANCELED" else Exit.COMPLETED)
        self._hub.tell(("logs", trial["id"]))

    def _settle(self, experiment_id: int) -> None:
        """End a stopping experiment once its last trial has ended, and delete the checkpoints that nobody keeps."""
        state = experiments.get(self._db, experiment_id)["state"]
        left = [t for t in trials.of_experiment(self._db, experiment_id) if t["state"] not in experiments.TERMINAL]
        if left or state not in experiments.STOPPING:
            return
        with self._db.transaction():
            experiments.set_state(self._db, experiment_id, experiments.STOPPING[state])
            checkpoints.mark_deleted(self._db, checkpoints.expendable(self._db, experiment_id))
        self.runs.later(storage.finish(self._db))

    def _run_ended(self, trial: Row, allocation: Row, code: int | None) -> None:
        """A run is over and its log complete: decide what becomes of the trial."""
        with self._db.transaction():
            self._db.update("allocations", "id", allocation["id"], state="TERMINATED", end_time=now())
            end = self._verdict(trial, allocation, code)
            if end is not None:
                self._finish(trial, *end)
        self._hub.tell(("logs", trial["id"]))
        self.carry_out(trial["experiment_id"])

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
        return self._failure(trial, allocation, "its agent was killed" if code is None else f"exit code {code}")

    def _failure(self, trial: Row, allocation: Row, why: str) -> tuple[str, Exit] | None:
        limit = experiments.configuration(self._db, trial["experiment_id"])["max_restarts"]
        if trial["restarts"] >= limit:
            text = f"trial {trial['id']} failed ({why}) and has used its {limit} restarts (max_restarts)"
            self.runs.note(trial["id"], allocation["id"], "ERROR", text)
            return "ERROR", Exit.ERRORED
        trials.count_restart(self._db, trial)
        latest = trials.resume_point(self._db, trial)
        point = f"checkpoint {latest['uuid']}" if latest else "the beginning"
        text = f"trial {trial['id']} failed ({why}); restart {trial['restarts'] + 1} of {limit} goes on from {point}"
        self.runs.note(trial["id"], allocation["id"], "WARNING", text)
        return None

    def _finish(self, trial: Row, state: str, how: Exit) -> None:
        trials.set_state(self._db, trial["id"], state)
        searching.tell(self._db, trial["experiment_id"], lambda search: search.exited(trial["number"], how))
