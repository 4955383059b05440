"""The master: what users and trials ask for, decided in one transaction each; `lifecycle` does what follows."""

from __future__ import annotations

import json
import uuid
from typing import Any

from localcluster.determined import config as configuration
from localcluster.determined import continuing, searching, storage
from localcluster.determined.errors import FailedPrecondition, InvalidArgument
from localcluster.determined.hub import Hub
from localcluster.determined.lifecycle import Lifecycle
from localcluster.determined.searcher import Search
from localcluster.determined.state import checkpoints, experiments, metrics, trials, users
from localcluster.determined.state.database import Database, Row
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
        self._lifecycle = Lifecycle(self.db, settings, self.hub)
        self.runs = self._lifecycle.runs

    def start(self) -> None:
        """Go on where the last master stopped."""
        self._lifecycle.start()
        for experiment_id in experiments.in_states(self.db, experiments.DELETING):
            self.runs.later(self.delete(experiment_id))

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
        config, search = self._understood(original)
        definition = experiments.model_definition(body.get("modelDefinition") or [])
        if body.get("validateOnly"):
            return 0, config
        with self.db.transaction():
            parent = body.get("parentId") or None
            experiment_id = experiments.create(self.db, config, original, definition, user["id"], parent)
            searching.begin(self.db, experiment_id, search)
            if body.get("activate"):
                self._lifecycle.move(experiment_id, "ACTIVE")
        self.runs.schedule()
        return experiment_id, config

    def continue_experiment(self, experiment_id: int, override: str) -> None:
        """Let an experiment that has ended go on with the same trials.

        `override` is YAML laid over its configuration.  Raises FailedPrecondition, InvalidArgument (`continuing`).
        """
        active = experiments.configuration(self.db, experiment_id)
        config, search = self._understood(continuing.configuration(active, override))
        with self.db.transaction():
            continuing.require_continuable(self.db, experiment_id)
            experiments.reopen(self.db, experiment_id, config)
            searching.begin(self.db, experiment_id, search)
            self._lifecycle.move(experiment_id, "ACTIVE")
        self.runs.schedule()

    def patch_experiment(self, experiment_id: int, changes: dict[str, Any]) -> None:
        """Set name, description, labels and notes, and keys of the configuration's resources or checkpoint_storage.

        Other resources take effect at once, and so does another policy of checkpoint_storage.  Raises NotFound,
        InvalidArgument naming the key, and FailedPrecondition for resources of an experiment that has ended.
        """
        sections = {key: changes[key] for key in ("resources", "checkpoint_storage") if changes.get(key)}
        with self.db.transaction():
            experiments.patch(self.db, experiment_id, changes)
            row = experiments.get(self.db, experiment_id)
            if "resources" in sections and row["state"] in experiments.TERMINAL:
                raise FailedPrecondition(f"experiment {experiment_id} is in terminal state {row['state']}")
            config, _ = self._understood(json.dumps(configuration.merge(json.loads(row["config"]), sections)))
            self.db.update("experiments", "id", experiment_id, config=config)
            if "checkpoint_storage" in sections:
                checkpoints.mark_deleted(self.db, checkpoints.expendable(self.db, experiment_id))
        self.runs.later(storage.finish(self.db))
        self.runs.limit(experiment_id, config["resources"]["max_slots"])
        self.runs.schedule()

    def steer(self, experiment_id: int, state: str) -> None:
        """Activate (state ACTIVE), pause (PAUSED), cancel (STOPPING_CANCELED) or kill (STOPPING_KILLED) an experiment.

        Whoever is paused or cancelled may checkpoint first.  Raises FailedPrecondition where an experiment that ends or
        has ended is to be activated or paused; there is nothing to do where one is to be cancelled or killed.
        """
        current = experiments.get(self.db, experiment_id)["state"]
        if state == "STOPPING_CANCELED" and current not in ("ACTIVE", "PAUSED"):
            return
        if state == "STOPPING_KILLED" and current in (*experiments.TERMINAL, experiments.DELETING):
            return
        self._lifecycle.move(experiment_id, state)
        self._lifecycle.carry_out(experiment_id)

    def kill_trial(self, trial_id: int) -> None:
        """End one trial at once; raises FailedPrecondition where it has ended."""
        trial = trials.get(self.db, trial_id)
        if trial["state"] in experiments.TERMINAL:
            raise FailedPrecondition(f"trial {trial_id} has already ended ({trial['state']})")
        trials.set_state(self.db, trial_id, "STOPPING_KILLED")
        self._lifecycle.carry_out(trial["experiment_id"])

    async def delete(self, experiment_id: int) -> None:
        """Delete an experiment that has ended, with its checkpoints.

        Raises FailedPrecondition where it runs or its files cannot be deleted (state DELETE_FAILED: it may be tried
        again), and InvalidArgument where a model version holds a checkpoint.
        """
        state = experiments.get(self.db, experiment_id)["state"]
        if state not in (*experiments.TERMINAL, experiments.DELETING):
            raise FailedPrecondition(
                f"cannot delete experiment {experiment_id} in state {state}: cancel or kill it first"
            )
        names = [row["uuid"] for row in checkpoints.find(self.db, experiment_id=experiment_id)]
        checkpoints.require_unregistered(self.db, names)
        self.db.update("experiments", "id", experiment_id, state=experiments.DELETING)
        try:
            await storage.delete(self.db, names)
        except FailedPrecondition:
            self.db.update("experiments", "id", experiment_id, state="DELETE_FAILED")
            raise
        self.db.execute("DELETE FROM experiments WHERE id = ?", experiment_id)

    def report_metrics(self, allocation: Row, report: metrics.Report) -> None:
        """Store a metric report and, of a validation, tell the search; both or neither."""
        trial = trials.get(self.db, allocation["trial_id"])
        decided = False
        with self.db.transaction():
            if metrics.add(self.db, allocation, report) and report.name == metrics.VALIDATION:
                decided = self._lifecycle.validated(trial, report.average)
        if decided:
            self._lifecycle.carry_out(trial["experiment_id"])

    def invalid_hyperparameters(self, allocation: Row) -> None:
        """The trial cannot run with these hyperparameters; it should end now."""
        self.db.update("trials", "id", allocation["trial_id"], invalid_hp=1)
        self.runs.later(self.runs.end_after(allocation["id"], INVALID_HP_GRACE))

    def _understood(self, text: str) -> tuple[dict[str, Any], Search]:
        """Return the completed configuration and its search; raises InvalidArgument."""
        config = configuration.complete(text, self.checkpoints, self.settings.slots)
        seed = config["reproducibility"]["experiment_seed"]
        return config, Search(config["searcher"], config["hyperparameters"], seed)
