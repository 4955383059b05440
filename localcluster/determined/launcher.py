"""Starting, watching and ending agents; the only place where the master touches processes."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from localcluster.determined import config as configuration
from localcluster.determined.agent import layout, processes
from localcluster.determined.state.database import Row
from localcluster.determined.state.trials import container_id
from localcluster.settings import HOST, REPOSITORY, Settings

SHIM = Path(__file__).parent / "agent" / "shim"
AGENT_ID = "local"
TERMINATE_DEADLINE = 7.0
"""Seconds an agent gets to end its trial's processes before it is killed itself."""
_POLL = 0.05


class Launcher:
    """The agents of one home directory."""

    def __init__(self, settings: Settings, cluster_id: str) -> None:
        self._settings = settings
        self._cluster_id = cluster_id
        self._root = settings.home / "determined" / "allocations"
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def directory(self, allocation_id: str) -> Path:
        """Return the allocation's directory (agent/__init__.py says what is in it)."""
        return self._root / allocation_id

    def start(self, trial: Row, allocation: Row, token: str, latest: str | None, config: dict[str, Any]) -> None:
        """Start the agent of a new allocation, its lock already taken; raises OSError."""
        directory = self.directory(allocation["id"])
        for inner in (layout.WORK, f"{layout.RUN}/info", f"{layout.RUN}/train/model", f"{layout.RUN}/train/logs"):
            (directory / inner).mkdir(parents=True, exist_ok=True)
        (directory / layout.SPOOL).touch()
        lock = layout.open_lock(directory)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with (directory / "agent.err").open("ab") as complaints:
                self._started[allocation["id"]] = subprocess.Popen(
                    [sys.executable, "-m", "localcluster.determined.agent", str(directory), str(lock)],
                    env=self._environment(trial, allocation, token, latest, config),
                    cwd=REPOSITORY,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=complaints,
                    start_new_session=True,
                    pass_fds=(lock,),
                )
        finally:
            os.close(lock)

    def began(self, allocation_id: str) -> bool:
        """Whether the allocation's agent was ever started."""
        return (self.directory(allocation_id) / layout.SPOOL).exists()

    async def ended(self, allocation_id: str) -> int | None:
        """Wait for the agent's end, clear up its processes, and return the trial's exit code (None: agent killed)."""
        directory = self.directory(allocation_id)
        if directory.exists():
            await _in_thread(layout.wait_until_gone, directory)
        code = layout.exit_code(directory)
        if code is None:
            await asyncio.to_thread(processes.kill_all, allocation_id)
        process = self._started.pop(allocation_id, None)
        if process is not None:
            await asyncio.to_thread(process.wait)
        return code

    async def terminate(self, allocation_id: str) -> None:
        """Make the agent kill its trial; kill the agent too if it does not manage in time."""
        directory = self.directory(allocation_id)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TERMINATE_DEADLINE
        told = False
        while layout.lives(directory):
            process_id = self._process_id(allocation_id)
            if process_id is not None and not told:
                os.kill(process_id, signal.SIGTERM)
                told = True
            if loop.time() > deadline:
                if process_id is not None:
                    os.kill(process_id, signal.SIGKILL)
                return
            await asyncio.sleep(_POLL)

    def remove(self, allocation_id: str) -> None:
        """Delete the directory of an allocation whose lines and exit code are in the database."""
        shutil.rmtree(self.directory(allocation_id), ignore_errors=True)

    def sweep(self, live: set[str]) -> None:
        """Delete the directories that a killed master left of runs that are over; `live` are the others' ids."""
        if self._root.exists():
            for directory in self._root.iterdir():
                if directory.name not in live:
                    shutil.rmtree(directory, ignore_errors=True)

    def _process_id(self, allocation_id: str) -> int | None:
        if allocation_id in self._started:
            return self._started[allocation_id].pid
        path = self.directory(allocation_id) / layout.PID
        return int(path.read_text()) if path.exists() else None

    def _environment(
        self, trial: Row, allocation: Row, token: str, latest: str | None, config: dict[str, Any]
    ) -> dict[str, str]:
        run = self.directory(allocation["id"]) / layout.RUN
        container = container_id(allocation["id"])
        return {
            **self._inherited(),
            **self._threads(max(1, allocation["slots"])),
            **configuration.trial_variables(config),
            "DET_MASTER": f"http://{HOST}:{self._settings.determined_port}",
            "DET_CLUSTER_ID": self._cluster_id,
            "DET_AGENT_ID": AGENT_ID,
            "DET_SLOT_IDS": json.dumps(list(range(allocation["slots"]))),
            "DET_TASK_ID": trial["task_id"],
            "DET_ALLOCATION_ID": allocation["id"],
            "DET_SESSION_TOKEN": token,
            "DET_TASK_TYPE": "TRIAL",
            "DET_USER": "determined",
            "DET_EXPERIMENT_ID": str(trial["experiment_id"]),
            "DET_TRIAL_ID": str(trial["id"]),
            "DET_TRIAL_RUN_ID": str(allocation["run"]),
            "DET_TRIAL_SEED": str(trial["seed"]),
            "DET_EXPERIMENT_CONFIG": json.dumps(configuration.for_trial(config)),
            "DET_HPARAMS": trial["hparams"],
            "DET_STEPS_COMPLETED": str(allocation["resumed_steps"]),
            "DET_RESOURCES_ID": container,
            "DET_RESOURCES_TYPE": "docker-container",
            "DET_CONTAINER_ID": container,
            "DET_RUN_DIR": str(run),
            "DET_LOCAL_RUN_DIR": str(run),
            "DET_WORKDIR": str(self.directory(allocation["id"]) / layout.WORK),
            "DET_USE_TLS": "false",
            "DET_SEGMENT_ENABLED": "false",
            "DET_SKIP_PIP_INSTALL": "1",
            "DET_PYTHON_EXECUTABLE": sys.executable,
            "DET_SHELL": shutil.which("bash") or "/bin/sh",
            **({"DET_LATEST_CHECKPOINT": latest} if latest else {}),
        }

    def _inherited(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("DET_", "LOCALCLUSTER_"))}
        python_path = [entry for entry in own.get("PYTHONPATH", "").split(os.pathsep) if entry]
        own["PYTHONPATH"] = os.pathsep.join(
            [str(SHIM), *(entry for entry in python_path if Path(entry).absolute() != REPOSITORY)]
        )
        own["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), own.get("PATH", os.defpath)])
        own["PYTHONUNBUFFERED"] = "1"
        direct = own.get("NO_PROXY") or own.get("no_proxy") or ""
        hosts = dict.fromkeys([*(host for host in direct.split(",") if host), HOST, "localhost"])
        own["NO_PROXY"] = own["no_proxy"] = ",".join(hosts)
        return own

    def _threads(self, slots: int) -> dict[str, str]:
        share = str(max(1, self._settings.cores * slots // self._settings.slots))
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        return dict.fromkeys(names, share)


async def _in_thread(function: Any, *arguments: Any) -> None:
    """Await a blocking call in a thread that does not keep the master from exiting."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def finish() -> None:
        if not done.done():
            done.set_result(None)

    def work() -> None:
        function(*arguments)
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish)

    threading.Thread(target=work, daemon=True).start()
    await done
