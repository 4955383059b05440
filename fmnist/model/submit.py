"""`python -m fmnist.model.submit`: trains under Determined and says which checkpoint came out best.

Runs `det experiment create CONFIG .` in fmnist/model/src, follows the experiment, and writes build/train.json.  The
experiment lives on the master: interrupting this program leaves it running.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

from determined.experimental.client import Checkpoint, Experiment, ExperimentState
from rich.console import Console

from fmnist import artifacts, registry
from fmnist.checkout import REPOSITORY, git
from fmnist.command import det
from fmnist.errors import FmnistError, PlatformUnreachable, RegistryError, TrainingFailed
from fmnist.model import curves
from fmnist.model.progress import follow

SOURCE = Path(__file__).resolve().parent / "src"
LOCK = REPOSITORY / "requirements" / "main.txt"
LOG_LINES = 20


def main(argv: list[str] | None = None) -> int:
    """Train, or with --reuse take the newest registered version."""
    parser = argparse.ArgumentParser(prog="python -m fmnist.model.submit", description=__doc__)
    parser.add_argument("--config", default="const.yaml", help="experiment configuration in fmnist/model/src")
    parser.add_argument("--reuse", action="store_true", help="train nothing: take the newest registered version")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as `det … --config`")
    arguments = parser.parse_args(argv)
    try:
        with registry.answering():
            result = reuse() if arguments.reuse else train(arguments.config, arguments.set)
    except FmnistError as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    artifacts.write(artifacts.TRAIN, result)
    return 0


def reuse() -> dict[str, Any]:
    """What build/train.json holds for the newest registered version."""
    version = registry.resolve_version(registry.connect(), registry.model_name())
    if version.checkpoint is None:
        raise RegistryError(f"{version.model_name} version {version.model_version} has no checkpoint any more")
    result = _result(version.checkpoint)
    print(f"reusing {version.model_name} version {version.model_version}: {_describe(result)}")
    return {**result, "seconds": 0.0, "reused_version": version.model_version}


def train(config: str, overrides: list[str]) -> dict[str, Any]:
    """Create the experiment, follow it to its end, and return what build/train.json holds."""
    if not (SOURCE / config).is_file():
        known = ", ".join(sorted(path.name for path in SOURCE.glob("*.yaml")))
        raise TrainingFailed(f"there is no configuration {config} in {SOURCE}; there are {known}")
    client = registry.connect()
    started = time.monotonic()
    options = [argument for override in (_provenance(), *overrides) for argument in ("--config", override)]
    printed = det("experiment", "create", *options, config, ".", folder=SOURCE)
    created = re.search(r"Created experiment (\d+)", printed)
    if created is None:
        raise TrainingFailed(f"`det experiment create` did not say which experiment it created: {printed.strip()}")
    number = int(created[1])
    print(f"experiment {number} created from {config}; its log: det experiment logs {number}")
    try:
        with registry.answering():
            result = _trained(client.get_experiment(number))
    except KeyboardInterrupt:
        print(f"\n{_goes_on(number)}", file=sys.stderr)
        raise
    except PlatformUnreachable as error:
        raise PlatformUnreachable(f"{error}\n{_goes_on(number)}") from error
    seconds = time.monotonic() - started
    print(f"{_describe(result)}, {seconds:.0f} s")
    return {**result, "seconds": round(seconds, 1)}


def _trained(experiment: Experiment) -> dict[str, Any]:
    """Follow the experiment to its end, show what its trials did, and describe the best checkpoint."""
    follow(experiment)
    if experiment.state != ExperimentState.COMPLETED:
        raise TrainingFailed(_failure(experiment))
    trials = curves.read(experiment)
    if len(trials) > 1:
        Console().print(curves.table(trials))
        print(curves.saved(trials, curves.epochs(experiment)))
    return _result(best(experiment))


def _goes_on(number: int) -> str:
    return (
        f"experiment {number} goes on without this program.  Follow: det experiment wait {number}; "
        f"det experiment logs -f {number}.  End it: det experiment kill {number}"
    )


def _provenance() -> str:
    """The `--config` override that tells the trial what only this checkout knows."""
    commit = git("rev-parse", "HEAD")
    changes = git("status", "--porcelain", "--untracked-files=normal")
    values = {
        "git_commit": commit,
        "git_dirty": None if changes is None else bool(changes),
        "lock_sha256": hashlib.sha256(LOCK.read_bytes()).hexdigest() if LOCK.is_file() else None,
    }
    return f"data.provenance={json.dumps(values)}"


def best(experiment: Experiment) -> Checkpoint:
    """The best final checkpoint, since those of trials stopped early cannot be served; raises TrainingFailed."""
    for checkpoint in experiment.list_checkpoints():
        if "metrics" in (checkpoint.metadata or {}):
            return checkpoint
    raise TrainingFailed(f"experiment {experiment.id} has no trial that was trained to its end")


def _result(checkpoint: Checkpoint) -> dict[str, Any]:
    metadata = checkpoint.metadata or {}
    if "metrics" not in metadata:
        raise TrainingFailed(
            f"checkpoint {checkpoint.uuid} is not the final one of a trial: its metadata has no metrics"
        )
    training = checkpoint.training
    return {
        "experiment_id": training.experiment_id if training else None,
        "trial_id": training.trial_id if training else None,
        "checkpoint_uuid": checkpoint.uuid,
        **metadata["metrics"],
    }


def _describe(result: dict[str, Any]) -> str:
    return (
        f"experiment {result['experiment_id']}, trial {result['trial_id']}, checkpoint {result['checkpoint_uuid']}: "
        f"validation accuracy {result['validation_accuracy']:.4f}, validation loss {result['validation_loss']:.4f}"
    )


def _failure(experiment: Experiment) -> str:
    state = experiment.state.value.removeprefix("STATE_").lower() if experiment.state else "unknown"
    lines = []
    for trial in experiment.list_trials()[:1]:
        lines = [line.rstrip("\n") for line in trial.iter_logs(tail=LOG_LINES)]
    log = "\n  ".join(lines) or "(no log)"
    return f"experiment {experiment.id} ended as {state}; its last log lines:\n  {log}"


if __name__ == "__main__":
    sys.exit(main())
