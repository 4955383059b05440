"""From database rows to what the templates show; every function returns the variables of one template."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import yaml

from localcluster.determined import searching, wire
from localcluster.determined.pages import charts
from localcluster.determined.state import checkpoints, experiments, logs, metrics, models, overview, trials
from localcluster.determined.state.database import Database, Row

PAGE = 100
"""Experiments on one page."""
COLOURS = 16
"""Lines that look different; the style sheet knows as many."""
CHARTS = 12
"""Metrics that are drawn; a trial may report hundreds."""
POINTS = 160
"""Points of one line, about one for each three pixels."""


def experiment_list(db: Database, page: int, archived: bool) -> dict[str, Any]:
    """One page of experiments, newest first."""
    found = experiments.find(db, archived=None if archived else False, descending=True)
    shown = found[(page - 1) * PAGE : page * PAGE]
    ranked = overview.best_validations(db, [row["id"] for row in shown])
    best = {each["experiment_id"]: each["value"] for each in reversed(ranked)}
    return {
        "experiments": [
            (row, _state(row), json.loads(row["config"])["searcher"], best.get(row["id"])) for row in shown
        ],
        "total": len(found),
        "page": page,
        "pages": max(1, -(-len(found) // PAGE)),
        "archived": archived,
        "live": True,
    }


def experiment(db: Database, experiment_id: int) -> dict[str, Any]:
    """One experiment with its trials, curves and checkpoints; raises NotFound."""
    row = experiments.get(db, experiment_id)
    config = json.loads(row["config"])
    ranked = overview.best_validations(db, [experiment_id])
    table = _trials(db, trials.of_experiment(db, experiment_id), ranked)
    saved = _checkpoints(db, row)
    return {
        "experiment": row,
        "state_word": _state(row),
        "label_words": json.loads(row["labels"]),
        "searcher": config["searcher"],
        "trials": table,
        "varied": _varied([trial["hparams"] for trial in table]),
        "best": ranked[0] if ranked else None,
        **_curves(db, table, config["searcher"]),
        "ladders": _ladders(searching.rungs(db, experiment_id), table, config["searcher"].get("time_metric", "")),
        "checkpoints": saved,
        "best_checkpoint": next(
            (c for c in saved if c["metric"] is not None and c["row"]["state"] == "COMPLETED"), None
        ),
        "config": yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
        "live": row["state"] not in experiments.TERMINAL,
    }


def trial(db: Database, trial_id: int) -> dict[str, Any]:
    """One trial with its curves and the end of its log; raises NotFound."""
    row = trials.get(db, trial_id)
    parent = experiments.get(db, row["experiment_id"])
    searcher = json.loads(parent["config"])["searcher"]
    table = _trials(db, [row], overview.best_validations(db, [parent["id"]]))
    lines, _ = logs.page(db, trial_id, logs.Filter({}), past=None, descending=True)
    return {
        "trial": table[0],
        "experiment": parent,
        "searcher": searcher,
        **_curves(db, table, searcher),
        "lines": lines[::-1],
        "cut": len(lines) == logs.PAGE,
        "live": row["state"] not in experiments.TERMINAL,
    }


def registry(db: Database, key: str | None) -> dict[str, Any]:
    """All models that are not archived, or the model `key` (name or id), with their versions; raises NotFound."""
    found = models.find(db, archived=False) if key is None else [models.get(db, key)]
    return {
        "models": [
            {
                "row": row,
                "labels": json.loads(row["labels"]),
                "metadata": json.loads(row["metadata"]),
                "versions": [_version(db, each) for each in models.versions(db, str(row["id"]), descending=True)],
            }
            for row in found
        ],
        "live": False,
    }


def _version(db: Database, row: Row) -> dict[str, Any]:
    held = checkpoints.get(db, row["checkpoint_uuid"])
    validation = metrics.at(db, held["trial_id"], metrics.VALIDATION, held["steps"])
    return {
        "row": row,
        "checkpoint": held,
        "validation": validation or {},
        "labels": json.loads(row["labels"]),
        "metadata": json.loads(row["metadata"]),
        "provenance": json.loads(held["metadata"]),
    }


def _state(row: Row) -> str:
    return wire.display_state(row).removeprefix("STATE_")


def _trials(db: Database, rows: Sequence[Row], ranked: Sequence[Row]) -> list[dict[str, Any]]:
    """Return trials as tables show them; `hparams` are flat, nested names joined with dots."""
    best = {each["trial_id"]: each for each in ranked}
    return [
        {
            "row": row,
            "state": _state(row),
            "colour": row["number"] % COLOURS,
            "hparams": _flat(json.loads(row["hparams"])),
            "steps": metrics.steps(db, row["id"]),
            "best": best.get(row["id"]),
        }
        for row in rows
    ]


def _flat(hparams: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in hparams.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _varied(spaces: Sequence[dict[str, Any]]) -> list[str]:
    """Return the hyperparameters that tell trials apart; all of them where there is one trial."""
    names = dict.fromkeys(name for space in spaces for name in space)
    if len(spaces) < 2:
        return list(names)
    return [name for name in names if any(space.get(name) != spaces[0].get(name) for space in spaces)]


def _curves(db: Database, table: Sequence[dict[str, Any]], searcher: dict[str, Any]) -> dict[str, Any]:
    """Return one chart a metric, the searcher's first, none for those that only say how far a trial is.

    `undrawn` are the names of those beyond CHARTS.
    """
    colours = {trial["row"]["id"]: trial["colour"] for trial in table}
    clocks = {"batches", "epochs", searcher.get("time_metric")}
    found: dict[str, dict[tuple[int, str], list[charts.Point]]] = {}
    for row in overview.reports(db, list(colours), POINTS) if table else []:
        for name, raw in json.loads(row["average"]).items():
            value = metrics.number(raw)
            if value is not None and abs(value) <= charts.LARGEST and name not in clocks:
                lines = found.setdefault(_title(name, row["name"]), {})
                lines.setdefault((row["trial_id"], row["name"]), []).append((row["steps"], value))
    first = _title(searcher["metric"], metrics.VALIDATION)
    names = sorted(found, key=lambda name: (name != first, name))
    drawn = []
    for name in names[:CHARTS]:
        series = [charts.Series(trial, colours[trial], group, points) for (trial, group), points in found[name].items()]
        drawn.append(charts.curves(name, series))
    return {"charts": drawn, "undrawn": names[CHARTS:]}


def _ladders(brackets: list[list[dict[str, Any]]], table: Sequence[dict[str, Any]], unit: str) -> list[charts.Chart]:
    """Return one picture a bracket that has a result, all on one scale."""
    colours = {trial["row"]["id"]: trial["colour"] for trial in table}
    span = [e["metric"] for rungs in brackets for rung in rungs for e in rung["entries"] if e["metric"] is not None]
    if not span:
        return []
    pictures = [charts.ladder(f"Bracket {n}", unit, rungs, colours, span) for n, rungs in enumerate(brackets, 1)]
    return [picture for picture in pictures if picture.lines]


def _title(metric: str, group: str) -> str:
    """Let training and validation of one metric share a chart, whatever prefix the validation's name has."""
    if group == metrics.VALIDATION:
        return metric.removeprefix("validation_").removeprefix("val_") or metric
    return metric


def _checkpoints(db: Database, parent: Row) -> list[dict[str, Any]]:
    """Return the checkpoints whose files are there, those with the best value of the searcher's metric first.

    Each with that `metric`, its `size` in bytes, and the model `versions` that hold it.
    """
    held: dict[str, list[str]] = {}
    for row in overview.registered(db, parent["id"]):
        held.setdefault(row["uuid"], []).append(f"{row['name']} version {row['version']}")
    rows = [row for row in checkpoints.find(db, experiment_id=parent["id"]) if row["state"] != "DELETED"]
    return [
        {
            "row": row,
            "metric": checkpoints.metric(db, row),
            "size": sum(json.loads(row["resources"]).values()),
            "versions": held.get(row["uuid"], ()),
        }
        for row in checkpoints.ordered(db, rows)
    ]
