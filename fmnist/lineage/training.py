"""Determined's part of the chain: experiments, checkpoints and model versions, from the metadata they carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from determined.common import api, util
from determined.common.api import bindings
from determined.common.api import errors as api_errors

from fmnist import production, registry
from fmnist.errors import FmnistError
from fmnist.lineage.graph import Graph, Id, Kind, Node, State, Unknown, references

_ENDED_BADLY = ("canceled", "error", "deleted")
_JUDGED = ("test_accuracy", "threshold", "test_accuracy_interval_95", "data_test")


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
            for id_ in self._unread(Kind.CHECKPOINT):
                with suppress(api_errors.NotFoundException):
                    self._add_checkpoint(bindings.get_GetCheckpoint(session, checkpointUuid=id_.name).checkpoint)
        except FmnistError as error:
            self._graph.problems["Determined"] = str(error)
        except registry.FAULTS as error:
            self._graph.problems["Determined"] = f"Determined says: {error}"

    def _unread(self, kind: Kind) -> list[Id]:
        """Stations that an edge names and nobody has read."""
        ends = {end for edge in self._graph.edges for end in edge}
        return sorted(id_ for id_ in ends if id_.kind is kind and id_ not in self._graph)

    def _add_version(self, version: bindings.v1ModelVersion) -> None:
        id_ = version_id(version.model.name, version.version)
        self._graph.connect(Id(Kind.CHECKPOINT, version.checkpoint.uuid), id_)
        self._add_checkpoint(version.checkpoint)
        gate = _mapping(_mapping(version.metadata).get("gate"))
        for label, commit in references(gate):
            self._graph.connect(commit, id_, f"judged on ({label})")
        facts: dict[str, Any] = {"registered": version.creationTime}
        summary, state = "not judged", State.OPEN
        if gate:
            verdict, state = ("passed", State.GOOD) if gate.get("passed") else ("failed", State.BAD)
            accuracy = gate.get("test_accuracy")
            facts |= {"gate": verdict, **{key: gate[key] for key in _JUDGED if key in gate}}
            summary = f"{verdict} with {accuracy:.4f}" if isinstance(accuracy, float) else verdict
        else:
            facts["gate"] = Unknown(f"not judged yet: make gate MODEL_VERSION={version.version}")
        details = {
            "model": version.model.name,
            "version": version.version,
            "checkpoint": version.checkpoint.uuid,
            "metadata": _mapping(version.metadata),
        }
        self._graph.add(Node(id_, version.model.name, f"version {version.version}", summary, state, facts, details))

    def _add_checkpoint(self, checkpoint: bindings.v1Checkpoint) -> None:
        id_ = Id(Kind.CHECKPOINT, checkpoint.uuid)
        metadata = _mapping(checkpoint.metadata)
        provenance = _mapping(metadata.get("provenance"))
        experiment = checkpoint.training.experimentId
        without = "the provenance says null" if provenance else "the checkpoint's metadata has no provenance"
        git = _mapping(provenance.get("git"))
        facts: dict[str, Any] = {
            "checkpoint": checkpoint.uuid,
            "trial": _known(checkpoint.training.trialId, "Determined names none"),
            "seed": _known(provenance.get("seed"), without),
            "config_sha256": _known(provenance.get("config_sha256"), without),
            "lock_sha256": _known(provenance.get("lock_sha256"), without),
            "git": {key: _known(git.get(key), without) for key in ("commit", "dirty")},
        }
        commits = list(references(provenance))
        if not any(label == "train" for label, _ in commits):
            facts["data"] = Unknown("trained on a folder, not on a commit" if provenance else without)
        if experiment:
            trained_in = Id(Kind.EXPERIMENT, str(experiment))
            self._graph.connect(trained_in, id_)
            for label, commit in commits:
                self._graph.connect(commit, trained_in, label)
        state = checkpoint.state.value.removeprefix("STATE_").lower()
        details = {
            "state": state,
            "reported": _known(checkpoint.reportTime, "Determined names no time"),
            "source_tree": _known(provenance.get("source_tree"), without),
            "metrics": _known(metadata.get("metrics"), "not the final checkpoint of a trial"),
        }
        whole = state == "completed"
        summary = f"trial {facts['trial']}, seed {provenance.get('seed', 'unknown')}" if whole else state
        good = State.GOOD if whole else State.BAD
        self._graph.add(Node(id_, "checkpoint", checkpoint.uuid[:8], summary, good, facts, details))

    def _add_experiment(self, experiment: bindings.v1Experiment) -> None:
        id_ = Id(Kind.EXPERIMENT, str(experiment.id))
        config = experiment.config
        data = _mapping(config.get("data"))
        for label in ("train", "feedback"):
            reference = data.get(label)
            known = any(name == label for (_, target), name in self._graph.edges.items() if target == id_)
            if isinstance(reference, str) and not known:
                moment = util.parse_protobuf_timestamp(experiment.startTime)
                if (commit := self._head_at(reference, moment)) is not None:
                    self._graph.connect(commit, id_, f"{label} (by the configuration: {reference})")
        if parent := _mapping(config.get("searcher")).get("source_checkpoint_uuid"):
            self._graph.connect(Id(Kind.CHECKPOINT, parent), id_, "warm start")
        submitted = _mapping(data.get("provenance"))
        state = experiment.state.value.removeprefix("STATE_").lower()
        by_hand = "created by hand, which tells the configuration nothing of the checkout"
        facts = {
            "experiment": experiment.id,
            "state": state,
            "data": {key: data[key] for key in ("train", "feedback") if key in data}
            or Unknown("the configuration has no data section"),
            "created": experiment.startTime,
            "git": {key: _known(submitted.get(f"git_{key}"), by_hand) for key in ("commit", "dirty")},
        }
        details = {
            "name": experiment.name,
            "searcher": experiment.searcherType,
            "trials": experiment.numTrials,
            "ended": _known(experiment.endTime, "it has not ended"),
            "lock_sha256": _known(submitted.get("lock_sha256"), by_hand),
        }
        summary = f"{'1 trial' if experiment.numTrials == 1 else f'{experiment.numTrials} trials'}, {state}"
        ended = {"completed": State.GOOD} | dict.fromkeys(_ENDED_BADLY, State.BAD)
        good = ended.get(state, State.OPEN)
        self._graph.add(Node(id_, experiment.name, f"experiment {experiment.id}", summary, good, facts, details))


def version_id(model: str, version: object) -> Id:
    """The station of a model version."""
    return Id(Kind.VERSION, f"{model} version {version}")


def _mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is a mapping; metadata and configurations hold whatever people put into them."""
    return value if isinstance(value, Mapping) else {}


def _known(value: Any, reason: str) -> Any:
    return Unknown(reason) if value is None else value


def _pages(get: Callable[..., Any], field: str) -> Iterator[Any]:
    for page in api.read_paginated(lambda offset: get(offset=offset)):
        yield from getattr(page, field)


def names(tags: Mapping[str, str]) -> tuple[Id | None, Id | None]:
    """The version and the checkpoint that labels or tags name."""
    found = production.named(tags)
    return (
        version_id(found.model, found.version) if found.version else None,
        Id(Kind.CHECKPOINT, found.checkpoint) if found.checkpoint else None,
    )
