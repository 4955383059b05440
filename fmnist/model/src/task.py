"""What this process was asked to train: read from the Determined master, or from the command line off the cluster."""

from __future__ import annotations

import argparse
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
from errors import CommitRefused, ConfigError
from hyperparameters import Hyperparameters


@dataclass(frozen=True)
class Data:
    """What a trial learns from: the train split, and feedback that is trained on besides but never validated on.

    `provenance` names the commit of each.
    """

    train: Examples
    feedback: Examples | None
    provenance: Mapping[str, Mapping[str, str | None] | None]


@dataclass(frozen=True)
class Task:
    """One trial: its settings, its data, and where it starts.

    `resume` is the checkpoint of this very trial to go on from, `warm_start` one of another trial whose weights
    to begin with; `finished` says that `resume` is the final checkpoint.
    """

    hyperparameters: Hyperparameters
    class_names: tuple[str, ...]
    data: Data
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
    class_names = _class_names(info.user_data)
    data = _data(info.user_data, len(class_names), util.parse_protobuf_timestamp(experiment.startTime))
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
        data=data,
        provenance=provenance.collect(
            config=experiment.config,
            data=data.provenance,
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
    parser.add_argument("--data", type=Path, help="folder with images.npy and labels.npy (else: Pachyderm)")
    parser.add_argument("--checkpoints", help="folder for checkpoints, outside the current one (else: a new one)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="override a hyperparameter")
    parser.add_argument("--seed", type=int, help="instead of reproducibility.experiment_seed")
    parser.add_argument("--resume", metavar="UUID", help="checkpoint of an interrupted run to go on from")
    parsed = parser.parse_args(arguments)
    checkpoints = parsed.checkpoints or tempfile.mkdtemp(prefix="fashion-mnist-checkpoints-")
    if Path(checkpoints).resolve().is_relative_to(Path.cwd()):
        raise ConfigError(f"--checkpoints {checkpoints} must lie outside {Path.cwd()}: each holds a copy of it")
    config = _configuration(parsed.config)
    for override in parsed.set:
        name, _, value = override.partition("=")
        config["hyperparameters"][name] = yaml.safe_load(value)
    seed = config["reproducibility"]["experiment_seed"] if parsed.seed is None else parsed.seed
    class_names = _class_names(config["data"])
    data = _data(config["data"], len(class_names), datetime.now(UTC), parsed.data)
    return Task(
        hyperparameters=Hyperparameters.from_mapping(config["hyperparameters"]),
        class_names=class_names,
        data=data,
        provenance=provenance.collect(
            config=config,
            data=data.provenance,
            source=Path(__file__).parent,
            experiment_id=0,
            trial_id=0,
            seed=seed,
        ),
        seed=seed,
        trial_id=0,
        resume=parsed.resume,
        finished=_is_final(Path(checkpoints), parsed.resume) if parsed.resume else False,
        checkpoint_storage=checkpoints,
    )


def _configuration(path: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"--config {path} cannot be read: {error}") from error
    for section in ("data", "hyperparameters", "reproducibility"):
        if not isinstance(config, dict) or not isinstance(config.get(section), dict):
            raise ConfigError(f"--config {path} has no section {section}: it is not an experiment's configuration")
    return config


def _is_final(checkpoints: Path, uuid: str) -> bool:
    if not (checkpoints / uuid).is_dir():
        raise ConfigError(f"--resume {uuid}: no such checkpoint in {checkpoints}; --checkpoints names their folder")
    return (checkpoints / uuid / "serving" / "metadata.json").is_file()


def _data(settings: Mapping[str, Any], classes: int, moment: datetime, folder: Path | None = None) -> Data:
    """The data that the `data` section of a configuration names, as of `moment`; with `folder` that train split."""
    if folder is None:
        train, data_train = _from_pachyderm(settings, "train", classes, moment)
    else:
        train, data_train = _read(source.read_folder(folder), classes), {"repo": None, "branch": None, "commit": None}
    feedback = data_feedback = None
    if settings.get("feedback") is not None:
        feedback, data_feedback = _from_pachyderm(settings, "feedback", classes, moment)
    return Data(train, feedback, {"data_train": data_train, "data_feedback": data_feedback})


def _from_pachyderm(
    settings: Mapping[str, Any], key: str, classes: int, moment: datetime
) -> tuple[Examples, Mapping[str, str | None]]:
    reference = settings.get(key)
    if not isinstance(reference, str):
        raise ConfigError(f"the configuration's data.{key} is {reference!r}, not a commit such as fmnist-train@master")
    client = source.connect()
    pinned = source.pin(client, reference, moment)
    examples = _read(source.fetch(client, pinned), classes)
    if not len(examples):
        raise CommitRefused(f"data.{key}: {pinned.repo}@{pinned.commit} has no images; leave data.{key} out")
    return examples, pinned.provenance()


def _read(contents: Mapping[str, bytes], classes: int) -> Examples:
    return read_examples(contents[source.IMAGES], contents[source.LABELS], classes)


def _class_names(data: Mapping[str, Any]) -> tuple[str, ...]:
    names = data.get("labels")
    if not isinstance(names, list) or len(names) < 2 or not all(isinstance(name, str) for name in names):
        raise ConfigError("data.labels must list the class names, in the order of the label numbers")
    return tuple(names)
