"""The experiment configurations and the hyperparameters they set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from errors import ConfigError
from hyperparameters import Hyperparameters

from localcluster.determined.config import complete
from tests.fmnist.conftest import REPOSITORY, SOURCE

CONST: dict[str, Any] = yaml.safe_load((SOURCE / "const.yaml").read_text())
BEST: dict[str, Any] = yaml.safe_load((SOURCE / "best.yaml").read_text())
NAMES = ("adaptive.yaml", "best.yaml", "const.yaml")


def test_these_are_all_configurations() -> None:
    assert sorted(path.name for path in SOURCE.glob("*.yaml")) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_master_accepts_the_configuration(name: str, tmp_path: Path) -> None:
    completed = complete((SOURCE / name).read_text(), tmp_path, slots=1)
    assert completed["searcher"]["metric"] == "validation_loss"
    assert completed["data"]["train"] == "fmnist-train@master"


@pytest.mark.parametrize("name", NAMES)
def test_configurations_name_no_host_and_no_storage(name: str) -> None:
    config = yaml.safe_load((SOURCE / name).read_text())
    assert "checkpoint_storage" not in config
    assert "http" not in (SOURCE / name).read_text()


def test_the_search_sets_the_same_hyperparameters() -> None:
    adaptive = yaml.safe_load((SOURCE / "adaptive.yaml").read_text())
    assert set(adaptive["hyperparameters"]) == set(CONST["hyperparameters"])
    assert adaptive["hyperparameters"]["epochs"] == adaptive["searcher"]["max_time"]
    assert adaptive["data"] == CONST["data"]


def test_the_best_configuration_is_what_the_search_found() -> None:
    found = json.loads((REPOSITORY / "benchmarks" / "search" / "results.json").read_text())["trials"][0]
    for name, value in found["hyperparameters"].items():
        if name != "shift":  # Augmentation goes with the length of the training.
            assert BEST["hyperparameters"][name] == pytest.approx(value, rel=0.01), name
    assert Hyperparameters.from_mapping(BEST["hyperparameters"])
    assert {**BEST, "hyperparameters": CONST["hyperparameters"]} == {
        **CONST,
        **{name: BEST[name] for name in ("name", "description", "labels")},
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs=0 must be above 0"),
        ({"epochs": 1.5}, "epochs=1.5 is not a whole number"),
        ({"epochs": "3"}, "epochs='3' is not of type int"),
        ({"towers": 0}, "towers=0 must be above 0"),
        ({"towers": 3}, "towers=3 does not cut batch_size=128"),
        ({"towers": 128}, "of two images or more"),
        ({"erase": 28}, "erase=28 must be below 28"),
        ({"weight_decay": float("inf")}, "weight_decay=inf is not a finite number"),
        ({"epochs": float("nan")}, "epochs=nan is not a finite number"),
        ({"flip": 1}, "flip=1 is not of type bool"),
        ({"shift": True}, "shift=True is not of type int"),
        ({"warmup": 1}, "warmup=1.0 must be in"),
        ({"shift": -1}, "shift=-1 must not be negative"),
        ({"learning_rte": 0.1}, "unknown hyperparameters learning_rte"),
    ],
)
def test_unusable_hyperparameters_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Hyperparameters.from_mapping({**CONST["hyperparameters"], **change})


def test_a_missing_hyperparameter_is_named() -> None:
    values = {name: value for name, value in CONST["hyperparameters"].items() if name != "width"}
    with pytest.raises(ConfigError, match=r"lacks hyperparameters\.width"):
        Hyperparameters.from_mapping(values)
