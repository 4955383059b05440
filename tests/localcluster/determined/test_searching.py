"""What a search decides is stored with the event that made it decide, or not at all."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcluster.determined import config, searching
from localcluster.determined.searcher import Exit, Search
from localcluster.determined.state import experiments, searches, trials
from localcluster.determined.state.database import Database

HALVING = {
    "name": "async_halving",
    "metric": "loss",
    "time_metric": "epochs",
    "num_rungs": 2,
    "divisor": 2,
    "max_time": 2,
    "max_trials": 4,
    "max_concurrent_trials": 2,
}
RANDOM = {"name": "random", "metric": "loss", "max_trials": 4, "max_concurrent_trials": 2}


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "master.sqlite")
    yield database
    database.close()


def begin(db: Database, searcher: dict[str, Any]) -> int:
    text = yaml.safe_dump({"entrypoint": "x", "searcher": searcher, "hyperparameters": {}})
    filled = config.complete(text, Path("/checkpoints"), slots=1)
    db.execute("INSERT OR IGNORE INTO users (id, username, password, admin, modified_at) VALUES (1, 'u', '', 0, '')")
    experiment = experiments.create(
        db, config=filled, original=text, model_definition=b"tar", user_id=1, parent_id=None
    )
    searching.begin(db, experiment, Search(filled["searcher"], {}, 1))
    return experiment


def report(db: Database, experiment: int, number: int, loss: float, epochs: int) -> bool:
    metrics = {"loss": loss, "epochs": epochs}
    return searching.tell(db, experiment, lambda search: search.validated(number, metrics))


def end(db: Database, experiment: int, number: int) -> None:
    trial = trials.numbered(db, experiment, number)
    assert trial
    trials.set_state(db, trial["id"], "COMPLETED")
    searching.tell(db, experiment, lambda search: search.exited(number, Exit.COMPLETED))


def states(db: Database, experiment: int) -> list[str]:
    return [trial["state"] for trial in trials.of_experiment(db, experiment)]


def progress(db: Database, experiment: int) -> float:
    return float(experiments.get(db, experiment)["progress"])


def test_progress_that_is_no_share_is_brought_into_bounds(db: Database) -> None:
    experiment = begin(db, RANDOM)
    trial = trials.of_experiment(db, experiment)[0]
    for told, stored in ((math.nan, 0.0), (-1.0, 0.0), (7.0, 1.0)):
        searches.report_progress(db, trial, told)
        assert trials.get(db, trial["id"])["progress"] == stored


def test_a_stop_and_the_trial_in_its_place_are_stored_with_the_rungs(db: Database) -> None:
    begin(db, RANDOM)
    experiment = begin(db, HALVING)
    first = [trial["id"] for trial in trials.of_experiment(db, experiment)]
    assert not report(db, experiment, 0, 0.5, 1)
    assert report(db, experiment, 1, 0.6, 1)
    assert states(db, experiment) == ["PAUSED", "STOPPING_COMPLETED", "PAUSED"]
    [[bottom, top]] = searching.rungs(db, experiment)
    assert [(entry["trial"], entry["decision"]) for entry in bottom["entries"]] == [
        (first[0], "promoted"),
        (first[1], "stopped"),
    ]
    assert top == {"units_needed": 2, "entries": []}
    assert progress(db, experiment) == pytest.approx(2 / (1.2 * 4))


def test_what_is_rolled_back_did_not_happen(db: Database) -> None:
    experiment = begin(db, HALVING)
    before = (searches.get(db, experiment)["snapshot"], states(db, experiment))
    with contextlib.suppress(KeyError), db.transaction():
        report(db, experiment, 0, 0.5, 1)
        assert report(db, experiment, 1, 0.6, 1)
        raise KeyError
    assert (searches.get(db, experiment)["snapshot"], states(db, experiment)) == before


def test_an_experiment_that_is_being_ended_asks_its_search_no_more(db: Database) -> None:
    experiment = begin(db, HALVING)
    experiments.set_state(db, experiment, "STOPPING_CANCELED")
    assert not report(db, experiment, 0, float("nan"), 2)
    end(db, experiment, 0)
    assert states(db, experiment) == ["COMPLETED", "PAUSED"]


def test_without_rungs_an_experiment_is_as_far_as_its_trials(db: Database) -> None:
    experiment = begin(db, RANDOM)
    first, second = trials.of_experiment(db, experiment)
    searches.report_progress(db, first, 0.5)
    assert progress(db, experiment) == 0.25
    searches.report_progress(db, second, 7.0)
    assert progress(db, experiment) == 0.75
    end(db, experiment, 0)
    assert progress(db, experiment) == pytest.approx(2 / 3)
    assert searching.rungs(db, experiment) == []


def test_trials_say_nothing_about_the_progress_of_rungs(db: Database) -> None:
    experiment = begin(db, HALVING)
    searches.report_progress(db, trials.of_experiment(db, experiment)[0], 0.9)
    assert progress(db, experiment) == 0
