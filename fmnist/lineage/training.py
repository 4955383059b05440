"""Determined's part of the chain: experiments, checkpoints and model versions, from the metadata they carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import requests
from determined.common import api, util
from determined.common.api import bindings
from determined.common.api import errors as api_errors

from fmnist import registry
from fmnist.errors import FmnistError
from fmnist.lineage.graph import Graph, Id, Kind, Node, State, Unknown, references

_ENDED_BADLY = ("canceled", "error", "deleted")


class Registry:
    """Adds experiments, checkpoints and versions to `graph`, as far as the master answers."""

    def __init__(self, graph: Graph, head_at: Callable[[str, datetime], Id | None]) -> None:
        self._graph = graph
        self._head_at = head_at

    def read(self) -> None:
        """Add every version of every model, and every experiment with its data."""
        try:
            session = registry.session()
            for model in _pages(partial(bindings.get_GetModels, session), "models"):
                for version in _pages(
                    partial(bindings.get_GetModelVersions, session, modelName=model.name), "modelVersions"
                ):
                    self._add_version(version)
            for listed in _pages(partial(bindings.get_GetExperiments, session), "experiments"):
                self._add_experiment(bindings.get_GetExperiment(session, experimentId=listed.id).experiment)
            for id_ in self._named(Kind.CHECKPOINT):
                self._add_checkpoint(bindings.get_GetCheckpoint(session, checkpointUuid=id_.name).checkpoint)
        except FmnistError as error:
            self._graph.problems["Determined"] = str(error)
        except (api_errors.APIException, api_errors.BadRequestException, requests.RequestException) as error:
            self._graph.problems["Determined"] = f"Determined says: {error}"

    def _named(self, kind: Kind) -> list[Id]:
        """Stations that an edge names and nobody has read."""
        ends = {end for edge in self._graph.edges for end in edge}
        return sorted(id_ for id_ in ends if id_.kind is kind and id_ not in self._graph)

    def _add_version(self, version: bindings.v1ModelVersion) -> None:
        id_ = version_id(version.model.name, version.version)
        self._graph.connect(Id(Kind.CHECKPOINT, version.checkpoint.uuid), id_)
        self._add_checkpoint(version.checkpoint)
        gate = (version.metadata or {}).get("gate") or {}
        for label, commit in references(gate):
            self._graph.connect(commit, id_, f"judged on ({label})")
        facts: dict[str, Any] = {
            "model": version.model.name,
            "version": version.version,
            "registered": version.creationTime,
            "checkpoint": version.checkpoint.uuid,
            "gate": gate or Unknown("the accuracy gate has not judged it: make gate MODEL_VERSION=…"),
        }
        summary, state = "not judged", State.OPEN
        if gate:
            verdict, state = ("passed", State.GOOD) if gate.get("passed") else ("failed", State.BAD)
            accuracy = gate.get("test_accuracy")
            summary = f"{verdict}, accuracy {accuracy:.4f}" if isinstance(accuracy, float) else verdict
        self._graph.add(Node(id_, version.model.name, f"version {version.version}", summary, state, facts))

    def _add_checkpoint(self, checkpoint: bindings.v1Checkpoint) -> None:
        id_ = Id(Kind.CHECKPOINT, checkpoint.uuid)
        provenance = (checkpoint.metadata or {}).get("provenance")
        training = checkpoint.training
        facts: dict[str, Any] = {
            "uuid": checkpoint.uuid,
            "experiment": _known(training.experimentId, "Determined names no experiment"),
            "trial": _known(training.trialId, "Determined names no trial"),
            "state": checkpoint.state.value.removeprefix("STATE_").lower(),
            "reported": _known(checkpoint.reportTime, "Determined names no time"),
        }
        without = "the checkpoint's metadata has no provenance"
        for key in ("seed", "config_sha256", "lock_sha256", "source_tree"):
            facts[key] = _known((provenance or {}).get(key), without if provenance is None else _NULL)
        git = (provenance or {}).get("git") or {}
        facts["git commit"] = _known(git.get("commit"), without if provenance is None else _NULL)
        facts["git dirty"] = _known(git.get("dirty"), without if provenance is None else _NULL)
        facts["metrics"] = _known((checkpoint.metadata or {}).get("metrics"), "not the final checkpoint of a trial")
        if training.experimentId:
            experiment = Id(Kind.EXPERIMENT, str(training.experimentId))
            self._graph.connect(experiment, id_)
            for label, commit in references(provenance or {}):
                self._graph.connect(commit, experiment, label)
        if not any(label == "train" for label, _ in references(provenance or {})):
            facts["data"] = Unknown("trained on a folder, not on a commit" if provenance else without)
        state = State.GOOD if facts["state"] == "completed" else State.BAD
        summary = f"trial {facts['trial']}, seed {facts['seed']}" if provenance else f"trial {facts['trial']}"
        self._graph.add(Node(id_, "checkpoint", checkpoint.uuid[:8], summary, state, facts))

    def _add_experiment(self, experiment: bindings.v1Experiment) -> None:
        id_ = Id(Kind.EXPERIMENT, str(experiment.id))
        config = experiment.config
        data = config.get("data") or {}
        for label in ("train", "feedback"):
            reference = data.get(label)
            known = any(name == label for (_, target), name in self._graph.edges.items() if target == id_)
            if isinstance(reference, str) and not known:
                moment = util.parse_protobuf_timestamp(experiment.startTime)
                if (commit := self._head_at(reference, moment)) is not None:
                    self._graph.connect(commit, id_, f"{label} (by the configuration: {reference})")
        if parent := (config.get("searcher") or {}).get("source_checkpoint_uuid"):
            self._graph.connect(Id(Kind.CHECKPOINT, parent), id_, "warm start")
        submitted = data.get("provenance") or {}
        state = experiment.state.value.removeprefix("STATE_").lower()
        by_hand = "created by hand: only make train and make search tell"
        facts: dict[str, Any] = {
            "experiment": experiment.id,
            "name": experiment.name,
            "state": state,
            "searcher": experiment.searcherType,
            "trials": experiment.numTrials,
            "data": {key: data[key] for key in ("train", "feedback") if key in data}
            or Unknown("the configuration has no data section"),
            "created": experiment.startTime,
            "ended": _known(experiment.endTime, "it has not ended"),
            "git commit": _known(submitted.get("git_commit"), by_hand),
            "git dirty": _known(submitted.get("git_dirty"), by_hand),
            "lock_sha256": _known(submitted.get("lock_sha256"), by_hand),
        }
        finished = {"completed": State.GOOD} | dict.fromkeys(_ENDED_BADLY, State.BAD)
        summary = f"{'1 trial' if experiment.numTrials == 1 else f'{experiment.numTrials} trials'}, {state}"
        ended = finished.get(state, State.OPEN)
        self._graph.add(Node(id_, experiment.name, str(experiment.id), summary, ended, facts))


_NULL = "the provenance says null"


def version_id(model: str, version: object) -> Id:
    """The station of a model version."""
    return Id(Kind.VERSION, f"{model} version {version}")


def _known(value: Any, reason: str) -> Any:
    return Unknown(reason) if value is None else value


def _pages(get: Callable[..., Any], field: str) -> Iterator[Any]:
    for page in api.read_paginated(lambda offset: get(offset=offset)):
        yield from getattr(page, field)


def names(tags: Mapping[str, str]) -> tuple[Id | None, Id | None]:
    """The version and the checkpoint that labels or tags name."""
    version = tags.get("model_version") or tags.get("model-version") or tags.get("model.version")
    checkpoint = tags.get("checkpoint") or tags.get("model.checkpoint")
    model = tags.get("model_name") or tags.get("model.name") or registry.MODEL_NAME
    return (
        version_id(model, version) if version else None,
        Id(Kind.CHECKPOINT, checkpoint) if checkpoint else None,
    )
