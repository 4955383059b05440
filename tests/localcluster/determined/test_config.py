"""Configurations are completed with upstream's defaults, and refused by the name of the key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from localcluster.determined import config
from localcluster.determined.errors import InvalidArgument
from localcluster.determined.searcher import Search

MINIMAL: dict[str, Any] = {"entrypoint": "python3 train.py", "searcher": {"name": "single", "metric": "loss"}}
CHECKPOINTS = Path("/var/checkpoints")


def complete(**changes: Any) -> dict[str, Any]:
    return config.complete(yaml.safe_dump({**MINIMAL, **changes}), CHECKPOINTS, slots=2)


def test_defaults() -> None:
    filled = complete(data={"train": "repo@master"})
    assert filled["max_restarts"] == 5
    assert filled["searcher"]["smaller_is_better"] is True
    assert filled["resources"]["slots_per_trial"] == 1
    assert filled["data"] == {"train": "repo@master"}
    assert filled["checkpoint_storage"] == {
        "type": "directory",
        "container_path": str(CHECKPOINTS),
        "save_experiment_best": 0,
        "save_trial_best": 1,
        "save_trial_latest": 1,
    }
    assert isinstance(filled["reproducibility"]["experiment_seed"], int)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"surprise": 1}, "surprise"),
        ({"entrypoint": None}, "<config>: 'entrypoint' is a required"),
        ({"searcher": {"name": "single"}}, "<config>.searcher: 'metric' is a required"),
        ({"searcher": {"name": "single", "metric": "m", "max_trials": 3}}, "max_trials"),
        ({"searcher": {"name": "random", "metric": "m"}}, "'max_trials' is a required"),
        ({"searcher": {"name": "adaptive_asha", "metric": "m", "max_trials": 3, "max_time": 4}}, "time_metric"),
        (
            {"searcher": {"name": "sync_halving", "metric": "m"}},
            "<config>.searcher.name: the 'sync_halving' searcher has been removed",
        ),
        ({"searcher": {"name": "magic", "metric": "m"}}, "'magic' is none of"),
        ({"max_restarts": -1}, "<config>.max_restarts"),
        (
            {"hyperparameters": {"a": {"b": {"type": "int", "minval": 3, "maxval": 1}}}},
            "hyperparameters.a.b: minval must be less than maxval",
        ),
        ({"hyperparameters": {"a": {"type": "categorical"}}}, "hyperparameters.a: 'vals' is a required"),
        ({"hyperparameters": {"a": {"type": "gauss"}}}, "hyperparameters.a.type"),
        (
            {
                "searcher": {"name": "grid", "metric": "m"},
                "hyperparameters": {"a": {"type": "double", "minval": 0, "maxval": 1}},
            },
            "hyperparameters.a.count",
        ),
        ({"resources": {"slots_per_trial": 3}}, "resources.slots_per_trial: 3 slots"),
        ({"checkpoint_storage": {"type": "shared_fs"}}, "checkpoint_storage.host_path"),
        ({"checkpoint_storage": {"type": "s3", "bucket": "b"}}, "checkpoint_storage.type"),
        ({"environment": {"environment_variables": ["1BAD=x"]}}, "environment_variables"),
    ],
)
def test_refusals_name_the_key(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(named)):
        complete(**changes)


ASHA = {"name": "adaptive_asha", "metric": "m", "time_metric": "epochs", "max_time": 4, "max_trials": 3}
HALVING = {**ASHA, "name": "async_halving", "num_rungs": 2}
GRID = {"name": "grid", "metric": "m"}


@pytest.mark.parametrize(
    ("searcher", "named"),
    [
        ({"name": ["single"], "metric": "m"}, "searcher.name: ['single'] is none of single, random"),
        ({"metric": "m"}, "<config>.searcher: 'name' is a required"),
        ({"name": "custom", "metric": "m"}, "searcher.name: the 'custom' searcher has been removed"),
        ({"name": "adaptive", "metric": "m"}, "searcher.name: the 'adaptive' searcher has been removed"),
        ({"name": "single", "metric": "m", "stop_once": True}, "'stop_once' was unexpected"),
        ({"name": "random", "metric": "m", "max_trials": 0}, "searcher.max_trials: 0 is less than the minimum of 1"),
        ({"name": "random", "metric": "m", "max_trials": 2.5}, "searcher.max_trials: 2.5 is not of type 'integer'"),
        ({**GRID, "max_trials": 3}, "'max_trials' was unexpected"),
        ({**GRID, "max_concurrent_trials": -1}, "searcher.max_concurrent_trials: -1 is less than the minimum of 0"),
        ({**ASHA, "mode": "bold"}, "searcher.mode: 'bold' is not one of ['aggressive', 'standard', 'conservative']"),
        ({**ASHA, "divisor": 1}, "searcher.divisor: 1 is less than or equal to the minimum of 1"),
        ({**ASHA, "divisor": float("nan")}, "searcher.divisor: nan is not of type 'number'"),
        ({**ASHA, "max_rungs": 0}, "searcher.max_rungs"),
        ({**ASHA, "max_time": 0}, "searcher.max_time"),
        ({**ASHA, "bracket_rungs": [2, 0]}, "searcher.bracket_rungs[1]: 0 is less than the minimum of 1"),
        ({**ASHA, "num_rungs": 3}, "'num_rungs' was unexpected"),
        ({**ASHA, "time_metric": None}, "'time_metric' is a required"),
        ({**ASHA, "max_time": None, "max_length": 9}, "searcher.max_length: was replaced by time_metric"),
        ({**ASHA, "max_length": {"batches": 1, "epochs": 1}}, "searcher.max_length"),
        ({**HALVING, "num_rungs": None}, "'num_rungs' is a required"),
        ({**HALVING, "mode": "standard"}, "'mode' was unexpected"),
        (
            {**ASHA, "source_trial_id": 1, "source_checkpoint_uuid": "u"},
            "at most one of source_trial_id and source_checkpoint_uuid",
        ),
    ],
    ids=str,
)
def test_searchers_are_refused_by_key(searcher: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(named)):
        complete(searcher=searcher)


@pytest.mark.parametrize(
    ("axis", "named"),
    [
        ({"type": ["int"]}, "hyperparameters.a.type: ['int'] is none of const, int, double, log, categorical"),
        ({"type": None}, "hyperparameters.a.type: None is none of"),
        ({"type": "const"}, "hyperparameters.a: 'val' is a required"),
        ({"type": "int", "minval": 1}, "hyperparameters.a: 'maxval' is a required"),
        ({"type": "int", "minval": 1.5, "maxval": 3}, "hyperparameters.a.minval: 1.5 is not of type 'integer'"),
        ({"type": "int", "minval": 3, "maxval": 3}, "hyperparameters.a: minval must be less than maxval"),
        ({"type": "double", "minval": "0", "maxval": 1}, "hyperparameters.a.minval: '0' is not of type 'number'"),
        (
            {"type": "double", "minval": 0, "maxval": float("inf")},
            "hyperparameters.a.maxval: inf is greater than the maximum",
        ),
        ({"type": "log", "minval": 0, "maxval": 1}, "hyperparameters.a: 'base' is a required"),
        ({"type": "log", "minval": 0, "maxval": 1, "base": 0}, "hyperparameters.a.base"),
        ({"type": "log", "minval": 0, "maxval": 400, "base": 10}, "hyperparameters.a: base 10 to the power of"),
        ({"type": "categorical", "vals": []}, "hyperparameters.a.vals"),
        ({"type": "categorical", "vals": "adam"}, "hyperparameters.a.vals: 'adam' is not of type 'array'"),
        ({"type": "int", "minval": 0, "maxval": 9, "count": 0}, "hyperparameters.a.count: 0 is less than the minimum"),
        ({"type": "int", "minval": 0, "maxval": 9, "step": 1}, "hyperparameters.a: Additional properties"),
        ({"b": {"type": "categorical"}}, "hyperparameters.a.b: 'vals' is a required"),
    ],
    ids=str,
)
def test_axes_are_refused_by_key(axis: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(named)):
        complete(hyperparameters={"a": axis})


def test_grids_need_counts_and_an_end() -> None:
    axis = {"type": "double", "minval": 0, "maxval": 1}
    with pytest.raises(InvalidArgument, match=r"hyperparameters.a.b.count: grid search is in use but count was not"):
        complete(searcher=GRID, hyperparameters={"a": {"b": axis}})
    many = {name: {**axis, "count": 100} for name in "abc"}
    with pytest.raises(
        InvalidArgument, match=r"<config>.hyperparameters: the grid has 1000000 points, more than 100000"
    ):
        complete(searcher=GRID, hyperparameters=many)
    assert complete(hyperparameters=many)


@pytest.mark.parametrize(
    "searcher",
    [
        {"name": "single", "metric": "m", "max_length": 100},
        {"name": "random", "metric": "m", "max_trials": 2, "max_length": {"epochs": 3}},
        {**ASHA, "max_length": {"batches": 100}, "stop_once": True, "bracket_rungs": None, "source_trial_id": None},
        {**HALVING, "max_length": {"records": 100}, "stop_once": False},
    ],
    ids=str,
)
def test_deprecated_and_null_keys_of_searchers_are_accepted(searcher: dict[str, Any]) -> None:
    filled = complete(searcher=searcher)["searcher"]
    assert filled["max_length"] == searcher["max_length"]
    assert filled.get("bracket_rungs", []) == []


ODD = [None, True, -1, 0, 1, 1.5, 1e300, 10**400, float("nan"), float("inf"), "", "x", [], [1], {}, {"type": "int"}]
KEYS = ["name", "metric", "mode", "divisor", "max_rungs", "max_time", "max_trials", "bracket_rungs", "num_rungs"]


@given(
    st.sampled_from([ASHA, HALVING, GRID, {"name": "random", "metric": "m", "max_trials": 3}]),
    st.dictionaries(st.sampled_from(KEYS), st.sampled_from([*ODD, 100, [100, 1]]), max_size=2),
    st.sampled_from(
        [{"type": "int", "minval": 0, "maxval": 9}, {"type": "log", "base": 10, "minval": -1, "maxval": 0}]
    ),
    st.dictionaries(st.sampled_from(["type", "minval", "maxval", "base", "count"]), st.sampled_from(ODD), max_size=2),
)
def test_what_is_not_refused_makes_a_search(
    searcher: dict[str, Any], changes: dict[str, Any], axis: dict[str, Any], others: dict[str, Any]
) -> None:
    try:
        filled = complete(searcher=searcher | changes, hyperparameters={"a": {"count": 2, **axis, **others}})
    except InvalidArgument:
        return
    assert Search(filled["searcher"], filled["hyperparameters"], 1).start()


def test_numbers_as_people_write_them() -> None:
    text = (
        yaml.safe_dump(MINIMAL)
        + "max_restarts: 1e1\nhyperparameters:\n  a: {type: double, minval: 1e-5, maxval: 1E+2}\n"
    )
    filled = config.complete(
        text + "  b: {type: int, minval: 1.0, maxval: 1e3}\n  1: 2020-01-01\n", CHECKPOINTS, slots=1
    )
    assert filled["max_restarts"] == 10
    assert filled["hyperparameters"] == {
        "a": {"type": "double", "minval": 1e-5, "maxval": 100.0},
        "b": {"type": "int", "minval": 1, "maxval": 1000},
        "1": {"type": "const", "val": "2020-01-01"},
    }
    assert isinstance(filled["hyperparameters"]["b"]["maxval"], int)


def test_constants_are_axes_of_their_own() -> None:
    nested = {"b": [1, "x"], "c": {"type": "const", "val": None}, "d": {"type": "categorical", "vals": [1, 2]}}
    filled = complete(hyperparameters={"a": 1, "n": nested, "nothing": None, "empty": {}})
    assert filled["hyperparameters"] == {
        "a": {"type": "const", "val": 1},
        "n": {**nested, "b": {"type": "const", "val": [1, "x"]}},
        "nothing": {"type": "const", "val": None},
        "empty": {},
    }
    assert complete(hyperparameters=filled["hyperparameters"])["hyperparameters"] == filled["hyperparameters"]


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "just words"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        config.complete(text, CHECKPOINTS, slots=1)


def test_missing_entrypoint_and_searcher_are_both_named() -> None:
    with pytest.raises(InvalidArgument, match=r"entrypoint.*searcher"):
        config.complete("name: x", CHECKPOINTS, slots=1)


def test_shared_fs_becomes_a_directory_for_the_trial() -> None:
    filled = complete(checkpoint_storage={"type": "shared_fs", "host_path": "/mnt/shared", "storage_path": "det"})
    assert config.for_trial(filled)["checkpoint_storage"]["container_path"] == "/mnt/shared/det"
    assert filled["checkpoint_storage"]["type"] == "shared_fs"


def test_environment_variables() -> None:
    filled = complete(environment={"environment_variables": ["A=1=2", "B="]})
    assert config.trial_variables(filled) == {"A": "1=2", "B": ""}
