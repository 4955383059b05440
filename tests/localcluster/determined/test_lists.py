"""Lists of experiments and trials: which are listed, in which order, and pages beyond the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from determined.common import api
from determined.common.api import bindings, errors
from determined.experimental import client

from localcluster.determined.state import experiments, metrics, overview, trials
from localcluster.determined.state.database import Database

from .conftest import Cluster

SORTS = {
    client.ExperimentSortBy.DESCRIPTION: [1, 0, 2],
    client.ExperimentSortBy.NUM_TRIALS: [1, 2, 0],
    client.ExperimentSortBy.NAME: [2, 1, 0],
    client.ExperimentSortBy.PROJECT_ID: [0, 1, 2],
}


@pytest.fixture(scope="module")
def listed(cluster: Cluster, session: api.Session) -> Iterator[list[int]]:
    """Three experiments that never run."""
    random = {"name": "random", "metric": "accuracy", "smaller_is_better": False}
    ids = [
        cluster.create(
            session, activate=False, name="C of lists", description="m", searcher={**random, "max_trials": 3}
        ),
        cluster.create(session, activate=False, name="B of lists", description="a"),
        cluster.create(
            session, activate=False, name="A of lists", description="z", searcher={**random, "max_trials": 2}
        ),
    ]
    yield ids
    for number in ids:
        bindings.post_KillExperiment(session, id=number)
        bindings.delete_DeleteExperiment(session, experimentId=number)


def test_experiments_are_found_by_number_and_description(
    cluster: Cluster, session: api.Session, listed: list[int]
) -> None:
    sdk = client.Determined._from_session(session)
    assert [found.id for found in sdk.list_experiments(experiment_ids=listed[1:])] == listed[1:]

    def ids(**wanted: Any) -> list[int]:
        return [found.id for found in bindings.get_GetExperiments(session, **wanted).experiments]

    assert ids(name="OF LISTS") == listed
    assert ids(name="of lists", experimentIdFilter_gt=listed[0], experimentIdFilter_lte=listed[1]) == [listed[1]]
    assert ids(name="of lists", experimentIdFilter_notIn=[listed[1]]) == [listed[0], listed[2]]
    assert ids(name="of lists", description="Z") == [listed[2]]
    assert ids(name="of lists", userIds=[4711]) == []
    assert ids(name="of lists", projectId=1) == listed
    with pytest.raises(errors.NotFoundException, match="project 7 not found"):
        ids(projectId=7)


@pytest.mark.parametrize("sort", SORTS, ids=lambda sort: sort.name)
def test_experiments_are_sorted_by_what_is_asked(
    session: api.Session, listed: list[int], sort: client.ExperimentSortBy
) -> None:
    sdk = client.Determined._from_session(session)
    up = [e.id for e in sdk.list_experiments(name="of lists", sort_by=sort, order_by=client.OrderBy.ASC)]
    down = [e.id for e in sdk.list_experiments(name="of lists", sort_by=sort, order_by=client.OrderBy.DESC)]
    assert (up, down) == ([listed[n] for n in SORTS[sort]], [listed[n] for n in reversed(SORTS[sort])])


def test_a_page_beyond_the_last_experiment_is_empty(cluster: Cluster, session: api.Session, listed: list[int]) -> None:
    found = bindings.get_GetExperiments(session, name="of lists", offset=50)
    assert (found.experiments, found.pagination.startIndex, found.pagination.total) == ([], 3, 3)
    assert cluster.det("experiment", "list", "--offset", "4711", "--csv").count("\n") == 1
    found = bindings.get_GetExperiments(session, name="of lists", offset=-50)
    assert (found.experiments, found.pagination.startIndex) == ([], 3)


def test_an_order_that_is_none_is_refused(session: api.Session, listed: list[int]) -> None:
    for path in ("experiments", f"experiments/{listed[0]}/trials", "models"):
        with pytest.raises(errors.APIException, match="sortBy: 'SORT_BY_LUCK' is none of SORT_BY_"):
            session.get(f"/api/v1/{path}", params={"sortBy": "SORT_BY_LUCK"})


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """Three experiments and four trials, of which the last belongs to the third and the others to the first."""
    found = Database(tmp_path / "master.sqlite")
    found.execute("PRAGMA foreign_keys=OFF")
    found.execute("INSERT INTO users VALUES (1, 'somebody', '', 0, 1, '', 0, '')")
    config = {"searcher": {"metric": "accuracy", "smaller_is_better": False}, "resources": {"resource_pool": "default"}}
    columns: dict[str, Any] = {"original_config": "", "user_id": 1, "job_id": "", "state": "ACTIVE", "labels": []}
    for number in (1, 2, 3):
        found.insert("experiments", id=number, name="e", config=config, start_time=f"2026-01-0{number}", **columns)
    for number, (experiment, restarts, end) in {1: (1, 2, 3), 2: (1, 0, 9), 3: (1, 1, None), 4: (3, 0, 1)}.items():
        times = {"start_time": "2026-01-01T00:00:00.000000Z", "end_time": end and f"2026-01-01T00:00:0{end}.000000Z"}
        named: dict[str, Any] = {
            "number": number,
            "task_id": str(number),
            "state": "ACTIVE",
            "hparams": {},
            "seed": 0,
            **times,
        }
        found.insert("trials", id=number, experiment_id=experiment, restarts=restarts, **named)
    for trial, values in {1: (0.7, 0.5), 2: (0.6, 0.6, 0.6), 4: (0.9,)}.items():
        for step, value in enumerate(values, 1):
            allocation: Any = {"trial_id": trial, "run": 1, "resumed_steps": 0}
            metrics.add(found, allocation, metrics.Report(metrics.VALIDATION, step, {"accuracy": value}))
    for trial, size in {1: 10, 2: 5, 4: 1}.items():
        saved: dict[str, Any] = {
            "allocation_id": "",
            "state": "COMPLETED",
            "report_time": "",
            "metadata": {},
            "steps": 1,
        }
        found.insert("checkpoints", uuid=str(trial), trial_id=trial, resources={"a": size, "b": 1}, **saved)
    yield found
    found.close()


@pytest.mark.parametrize(
    ("sort", "up"),
    {
        "": [1, 2, 3],
        "SORT_BY_BEST_VALIDATION_METRIC": [1, 2, 3],
        "SORT_BY_LATEST_VALIDATION_METRIC": [2, 1, 3],
        "SORT_BY_BATCHES_PROCESSED": [3, 1, 2],
        "SORT_BY_RESTARTS": [2, 3, 1],
        "SORT_BY_END_TIME": [1, 2, 3],
        "SORT_BY_DURATION": [1, 2, 3],
        "SORT_BY_CHECKPOINT_SIZE": [3, 2, 1],
        "SORT_BY_STATE": [1, 2, 3],
        "SORT_BY_LOG_RETENTION_DAYS": [1, 2, 3],
    }.items(),
)
def test_trials_are_sorted_by_what_is_asked(db: Database, sort: str, up: list[int]) -> None:
    rows, searcher = trials.of_experiment(db, 1), experiments.configuration(db, 1)["searcher"]
    assert [row["id"] for row in overview.sorted_trials(db, rows, searcher, sort, descending=False)] == up
    assert [row["id"] for row in overview.sorted_trials(db, rows, searcher, sort, descending=True)] == up[::-1]


def test_experiments_without_the_value_come_last(db: Database) -> None:
    def ids(sort: str, descending: bool) -> list[int]:
        return [row["id"] for row in experiments.find(db, sort=sort, descending=descending)]

    assert ids("SORT_BY_SEARCHER_METRIC_VAL", descending=False) == [1, 3, 2]
    assert ids("SORT_BY_SEARCHER_METRIC_VAL", descending=True) == [3, 1, 2]
    assert ids("SORT_BY_CHECKPOINT_SIZE", descending=True) == [1, 3, 2]
