"""Configurations are completed with upstream's defaults, and refused by the name of the key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcluster.determined import config
from localcluster.determined.errors import InvalidArgument

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
