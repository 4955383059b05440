"""What this process was asked to train: read from the Determined master, or from the command line off the cluster."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import determined as det
import provenance
import source
import yaml
from dataset import Examples, read_examples
from determined.common import util
from determined.common.api import authentication, bindings, certs
from errors import ConfigError
from hyperparameters import Hyperparameters


@dataclass(frozen=True)
class Task:
    """One trial: its settings, its data, and where it starts.

    `resume` is the checkpoint of this very trial to go on from, `warm_start` one of another trial whose weights
    to begin with; `finished` says that `resume` is the final checkpoint.
    """

    hyperparameters: Hyperparameters
    class_names: tuple[str, ...]
    examples: Examples
    provenance: Mapping[str, Any]
    seed: int
    trial_id: int
    resume: str | None = None
    warm_start: str | None = None
    finished: bool = False
    checkpoint_storage: str | None = None


def load(arguments: list[str] | None = None) -> Task:
    """The task of this process.  Raises TrainingError before anything expensive has been started."""
    info = det.get_cluster_info()
    if info is None:
        return _from_command_line(arguments)
    return _from_master(info)


def _from_master(info: det.ClusterInfo) -> Task:
    trial = info.trial
    session = authentication.login_from_task(info.master_url, cert=certs.default_load(info.master_url))
    experiment = bindings.get_GetExperiment(session, experimentId=trial.experiment_id).experiment
    data = info.user_data
    if not isinstance(data.get("train"), str):
        raise ConfigError("the experiment's configuration lacks data.train, such as fmnist-train-raw@master")
    client = source.connect()
    pinned = source.pin(client, data["train"], util.parse_protobuf_timestamp(experiment.startTime))
    class_names = _class_names(data)
    contents = source.fetch(client, pinned)
    resume = warm_start = None
    finished = False
    if info.latest_checkpoint:
        checkpoint = bindings.get_GetCheckpoint(session, checkpointUuid=info.latest_checkpoint).checkpoint
        if checkpoint.training.trialId == trial.trial_id:
            resume, finished = info.latest_checkpoint, "serving/metadata.json" in checkpoint.resources
        else:
            warm_start = info.latest_checkpoint
    return Task(
        hyperparameters=Hyperparameters.from_mapping(trial.hparams),
        class_names=class_names,
        examples=read_examples(contents[source.IMAGES], contents[source.LABELS], len(class_names)),
        provenance=provenance.collect(
            config=experiment.config,
            data_train=pinned.provenance(),
            source=Path(det.constants.MANAGED_TRAINING_MODEL_COPY),
            experiment_id=trial.experiment_id,
            trial_id=trial.trial_id,
            seed=trial.trial_seed,
        ),
        seed=trial.trial_seed,
        trial_id=trial.trial_id,
        resume=resume,
        warm_start=warm_start,
        finished=finished,
    )


def _from_command_line(arguments: list[str] | None) -> Task:
    parser = argparse.ArgumentParser(description="Train off the cluster.")
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "const.yaml")
    parser.add_argument("--data", type=Path, help="folder with the two files of the train split (else: Pachyderm)")
    parser.add_argument("--checkpoints", help="folder for checkpoints, outside the current one (else: a new one)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="override a hyperparameter")
    parser.add_argument("--seed", type=int, help="instead of reproducibility.experiment_seed")
    parser.add_argument("--resume", metavar="UUID", help="checkpoint of an interrupted run to go on from")
    parsed = parser.parse_args(arguments)
    checkpoints = parsed.checkpoints or tempfile.mkdtemp(prefix="fashion-mnist-checkpoints-")
    if Path(checkpoints).resolve().is_relative_to(Path.cwd()):
        raise ConfigError(f"--checkpoints {checkpoints} must lie outside {Path.cwd()}: each holds a copy of it")
    config = yaml.safe_load(parsed.config.read_text())
    for override in parsed.set:
        name, _, value = override.partition("=")
        config["hyperparameters"][name] = yaml.safe_load(value)
    seed = config["reproducibility"]["experiment_seed"] if parsed.seed is None else parsed.seed
    class_names = _class_names(config["data"])
    contents, data_train = _data(parsed.data, config["data"]["train"])
    return Task(
        hyperparameters=Hyperparameters.from_mapping(config["hyperparameters"]),
        class_names=class_names,
        examples=read_examples(contents[source.IMAGES], contents[source.LABELS], len(class_names)),
        provenance=provenance.collect(
            config=config,
            data_train=data_train,
            source=Path(__file__).parent,
            experiment_id=0,
            trial_id=0,
            seed=seed,
        ),
        seed=seed,
        trial_id=0,
        resume=parsed.resume,
        checkpoint_storage=checkpoints,
    )


def _data(folder: Path | None, reference: str) -> tuple[dict[str, bytes], dict[str, str | None]]:
    """The files and their provenance: those of `folder`, else what the reference stands for in Pachyderm now."""
    if folder is not None:
        return source.read_folder(folder), {"repo": None, "branch": None, "commit": None}
    if not os.environ.get("PACH_CONFIG"):
        raise ConfigError(f"no training data: name a folder (--data), or set PACH_CONFIG to read {reference}")
    client = source.connect()
    pinned = source.pin(client, reference, datetime.now(UTC))
    return source.fetch(client, pinned), pinned.provenance()


def _class_names(data: Mapping[str, Any]) -> tuple[str, ...]:
    names = data.get("labels")
    if not isinstance(names, list) or len(names) < 2 or not all(isinstance(name, str) for name in names):
        raise ConfigError("data.labels must list the class names, in the order of the label numbers")
    return tuple(names)
