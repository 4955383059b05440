"""Checkpoints on disk: both storages, both ways to download, deletion whole, in part and by policy."""

from __future__ import annotations

import asyncio
import hashlib
import io
import signal
import sqlite3
import tarfile
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from determined.common import api
from determined.common.api import bindings, errors
from determined.common.experimental.checkpoint import DownloadMode
from determined.experimental import Determined
from hypothesis import given
from hypothesis import strategies as st

from localcluster.determined import storage
from localcluster.determined.errors import FailedPrecondition
from localcluster.determined.state.database import Database
from localcluster.determined.storage import _remove_matching

from .conftest import Cluster, eventually

FILES = {"metadata.json", "nested/", "nested/weights.bin", "step"}
KEEP_ALL = {"save_trial_latest": 10}


def _checkpoints(session: api.Session, experiment: int) -> list[bindings.v1Checkpoint]:
    """Return an experiment's checkpoints by step."""
    found = bindings.get_GetExperimentCheckpoints(session, id=experiment).checkpoints
    return sorted(found, key=lambda checkpoint: int(checkpoint.metadata["steps_completed"]))


def _checkpoint(session: api.Session, name: str) -> bindings.v1Checkpoint:
    return bindings.get_GetCheckpoint(session, checkpointUuid=name).checkpoint


def _tree(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module", params=["directory", "shared_fs"])
def stored(
    request: pytest.FixtureRequest, cluster: Cluster, session: api.Session, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, Path]:
    """An experiment of three steps that keeps everything, and where its checkpoints lie."""
    root = tmp_path_factory.mktemp("a storage")
    storage = {"type": "directory", "container_path": str(root)}
    if request.param == "shared_fs":
        storage, root = {"type": "shared_fs", "host_path": str(root), "storage_path": "inner"}, root / "inner"
    experiment = cluster.create(session, hyperparameters={"steps": 3}, checkpoint_storage={**storage, **KEEP_ALL})
    assert cluster.wait(session, experiment) == "STATE_COMPLETED"
    return experiment, root


@pytest.mark.slow
def test_both_ways_of_downloading_give_the_same_files(
    cluster: Cluster, session: api.Session, stored: tuple[int, Path], tmp_path: Path
) -> None:
    experiment, root = stored
    checkpoint = _checkpoints(session, experiment)[-1]
    assert set(checkpoint.resources) == FILES
    wanted = _tree(root / checkpoint.uuid)
    sdk = Determined(cluster.url, "determined", cluster.password).get_checkpoint(checkpoint.uuid)
    for mode in (DownloadMode.DIRECT, DownloadMode.MASTER):
        assert _tree(Path(sdk.download(str(tmp_path / mode.value), mode=mode))) == wanted
    trial = cluster.trial(session, experiment).id
    best = Determined._from_session(session).get_trial(trial).list_checkpoints()
    assert [found.metadata["steps_completed"] for found in best] == [3, 2, 1]
    printed = cluster.det(
        "checkpoint", "download", checkpoint.uuid, "-o", str(tmp_path / "a"), "--mode", "master", "-q"
    )
    assert printed.strip() == str(tmp_path / "a")
    cluster.det("trial", "download", str(trial), "--latest", "-o", str(tmp_path / "b"))
    cluster.det("experiment", "download", str(experiment), "--top-n", "1", "-o", str(tmp_path / "c"))
    assert _tree(tmp_path / "a") == _tree(tmp_path / "c" / checkpoint.uuid) == wanted
    # The client asks for the newest first and then takes the last (0.38.1, whatever the master).
    assert _tree(tmp_path / "b") == _tree(root / _checkpoints(session, experiment)[0].uuid)


@pytest.mark.slow
def test_files_are_removed_by_pattern(cluster: Cluster, session: api.Session, stored: tuple[int, Path]) -> None:
    experiment, root = stored
    name = _checkpoints(session, experiment)[0].uuid
    cluster.det("checkpoint", "rm", name, "--glob", "nested/*.bin", "--glob", "no such file", "--yes")
    left = _checkpoint(session, name)
    assert left.state is bindings.checkpointv1State.PARTIALLY_DELETED
    assert set(left.resources) == FILES - {"nested/weights.bin"}
    assert set(_tree(root / name)) == {"metadata.json", "step"}
    (root / name / "step").unlink()
    assert "refreshing resources" in cluster.det("checkpoint", "rm", name)
    assert set(_checkpoint(session, name).resources) == {"metadata.json", "nested/"}
    cluster.det("checkpoint", "rm", name, "--glob", "**/*", "--yes")
    gone = _checkpoint(session, name)
    assert (gone.state, gone.resources) == (bindings.checkpointv1State.DELETED, {})
    assert not (root / name).exists()


def test_patterns_that_reach_out_are_refused(session: api.Session, finished: int) -> None:
    name = _checkpoints(session, finished)[0].uuid
    for pattern, message in {"": "cannot have an empty glob", "../*": "cannot contain '..'"}.items():
        body = bindings.v1CheckpointsRemoveFilesRequest(checkpointGlobs=[pattern], checkpointUuids=[name])
        with pytest.raises(errors.APIException, match=message):
            bindings.post_CheckpointsRemoveFiles(session, body=body)
    body = bindings.v1CheckpointsRemoveFilesRequest(checkpointGlobs=[], checkpointUuids=[name, str(uuid.uuid4())])
    with pytest.raises(errors.NotFoundException):
        bindings.post_CheckpointsRemoveFiles(session, body=body)


@pytest.mark.slow
def test_a_registered_checkpoint_is_deleted_by_nothing(cluster: Cluster, session: api.Session) -> None:
    experiment = cluster.create(session, hyperparameters={"steps": 2}, checkpoint_storage=KEEP_ALL)
    assert cluster.wait(session, experiment) == "STATE_COMPLETED"
    first, last = [checkpoint.uuid for checkpoint in _checkpoints(session, experiment)]
    model = bindings.post_PostModel(session, body=bindings.v1PostModelRequest(name=f"holder of {first}")).model
    version = bindings.v1PostModelVersionRequest(modelName=model.name, checkpointUuid=first)
    bindings.post_PostModelVersion(session, modelName=model.name, body=version)
    where = rf"{first}, registered to holder of {first} \(model #{model.id}\), version 1"
    with pytest.raises(errors.APIException, match=f"cannot be deleted: {where}"):
        bindings.delete_DeleteCheckpoints(
            session, body=bindings.v1DeleteCheckpointsRequest(checkpointUuids=[last, first])
        )
    with pytest.raises(errors.APIException, match=f"cannot be deleted: {where}"):
        bindings.delete_DeleteExperiment(session, experimentId=experiment)
    patch = bindings.v1PatchCheckpoint(uuid=first, resources=bindings.PatchCheckpointOptionalResources(resources={}))
    with pytest.raises(errors.APIException, match="cannot be patched"):
        bindings.patch_PatchCheckpoints(session, body=bindings.v1PatchCheckpointsRequest(checkpoints=[patch]))
    preview = session.get(
        f"experiments/{experiment}/preview_gc",
        params={"save_experiment_best": 0, "save_trial_best": 0, "save_trial_latest": 0},
    ).json()
    assert [found["UUID"] for found in preview["checkpoints"]] == [last]
    policy = ("--save-experiment-best", "0", "--save-trial-best", "0", "--save-trial-latest", "0")
    assert "Set GC policy" in cluster.det("experiment", "set", "gc-policy", *policy, "--yes", str(experiment))
    storage = cluster.home / "determined" / "checkpoints"
    eventually(lambda: not (storage / last).exists(), "the files are deleted")
    assert (storage / first).exists()
    states = [checkpoint.state.value for checkpoint in _checkpoints(session, experiment)]
    assert states == ["STATE_COMPLETED", "STATE_DELETED"]


@pytest.mark.slow
def test_a_warm_start_and_a_running_trial_keep_what_they_need(cluster: Cluster, session: api.Session) -> None:
    source = cluster.create(session, hyperparameters={"steps": 1})
    assert cluster.wait(session, source) == "STATE_COMPLETED"
    (begin,) = _checkpoints(session, source)
    searcher = {"name": "single", "metric": "accuracy", "source_checkpoint_uuid": begin.uuid}
    running = cluster.create(session, hyperparameters={"steps": 1000, "pause": 0.1}, searcher=searcher)
    trial = cluster.trial(session, running).id
    cluster.wait_for_log(session, trial, "finished step 4")
    assert "run 1 starts at step 1" in cluster.logs(session, trial)
    nothing = bindings.PatchExperimentPatchCheckpointStorage(saveExperimentBest=0, saveTrialBest=0, saveTrialLatest=0)
    for experiment in (source, running):
        body = bindings.v1PatchExperiment(id=experiment, checkpointStorage=nothing)
        bindings.patch_PatchExperiment(session, body=body, experiment_id=experiment)
    assert _checkpoint(session, begin.uuid).state is bindings.checkpointv1State.COMPLETED
    bindings.post_PauseExperiment(session, id=running)
    cluster.wait_for_log(session, trial, "preempted")
    bindings.post_ActivateExperiment(session, id=running)
    cluster.wait_for_log(session, trial, "run 2 starts")
    text = cluster.logs(session, trial)
    assert "run 2 starts at step 1\n" not in text
    bindings.post_KillExperiment(session, id=running)
    assert cluster.wait(session, running) == "STATE_CANCELED"


@pytest.mark.slow
def test_a_killed_master_finishes_its_deletions(own_cluster: Cluster) -> None:
    session = own_cluster.session()
    experiment = own_cluster.create(session, checkpoint_storage=KEEP_ALL)
    leaving = own_cluster.create(session)
    assert own_cluster.wait(session, experiment) == own_cluster.wait(session, leaving) == "STATE_COMPLETED"
    first, last = [checkpoint.uuid for checkpoint in _checkpoints(session, experiment)]
    (other,) = [c.uuid for c in _checkpoints(session, leaving) if c.state.value == "STATE_COMPLETED"]
    own_cluster.end(signal.SIGKILL)
    storage = own_cluster.home / "determined" / "checkpoints"
    with sqlite3.connect(own_cluster.home / "determined" / "master.sqlite") as db:
        db.execute("UPDATE checkpoints SET state = 'DELETED' WHERE uuid = ?", (first,))
        db.execute("UPDATE experiments SET state = 'DELETING' WHERE id = ?", (leaving,))
    own_cluster.start()
    eventually(lambda: not (storage / first).exists(), "the marked checkpoint's files are deleted")
    eventually(lambda: not (storage / other).exists(), "the leaving experiment's files are deleted")
    assert (storage / last).exists()
    listed = {found.id for found in bindings.get_GetExperiments(session).experiments}
    assert listed == {experiment}


def test_a_name_that_is_no_uuid_never_becomes_a_path(cluster: Cluster, session: api.Session) -> None:
    for name in ("..%2f..%2fmaster.sqlite", "..", "%2e%2e", "a/../b"):
        status, _ = cluster.request("GET", f"/checkpoints/{name}", Authorization=f"Bearer {session.token}")
        assert status in (404, 501)


@pytest.mark.slow
def test_a_large_checkpoint_goes_through_the_master_in_little_memory(own_cluster: Cluster) -> None:
    session = own_cluster.session()
    experiment = own_cluster.create(session, hyperparameters={"steps": 1})
    assert own_cluster.wait(session, experiment) == "STATE_COMPLETED"
    (checkpoint,) = _checkpoints(session, experiment)
    large = own_cluster.home / "determined" / "checkpoints" / checkpoint.uuid / "large.bin"
    with large.open("wb") as file:
        file.truncate(400 << 20)
    assert own_cluster.process
    status = Path(f"/proc/{own_cluster.process.pid}/status")

    def peak() -> int:
        return int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1])

    before = peak()
    headers = {"Authorization": f"Bearer {session.token}"}
    request = urllib.request.Request(f"{own_cluster.url}/checkpoints/{checkpoint.uuid}", headers=headers)
    with (
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120) as response,
        tarfile.open(fileobj=io.BufferedReader(response), mode="r|gz") as tar,
    ):
        sizes = {member.name: member.size for member in tar}
    assert sizes["large.bin"] == 400 << 20
    assert peak() - before < 40 << 10


NAMES = st.sampled_from(["a", "b.bin", "c", ".hidden"])
PATTERNS = st.lists(st.sampled_from(["a", "*", "*/*", "**/*.bin", "/c/*", "c", "c/**", "link/*", "?"]), max_size=3)


@given(paths=st.lists(st.lists(NAMES, min_size=1, max_size=3).map("/".join), max_size=6), patterns=PATTERNS)
def test_what_is_left_is_what_is_there_and_nothing_outside_is_touched(
    tmp_path_factory: pytest.TempPathFactory, paths: list[str], patterns: list[str]
) -> None:
    base = tmp_path_factory.mktemp("checkpoint")
    outside, root = base / "outside", base / "inside"
    outside.mkdir()
    root.mkdir()
    (outside / "precious").write_text("stays")
    (root / "link").symlink_to(outside)
    for path in paths:
        target = root / path
        if not any(parent.is_file() for parent in target.parents) and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(path)
    left = _remove_matching(root, patterns)
    assert (outside / "precious").read_text() == "stays"
    there = {f"{p.relative_to(root)}/" if p.is_dir() else str(p.relative_to(root)) for p in root.rglob("*")}
    assert set(left) == there
    assert root.exists() == bool(left)


@pytest.fixture
def deleted(tmp_path: Path) -> Iterator[tuple[Database, list[Path]]]:
    """Three checkpoints that are marked as deleted and whose files are there."""
    db = Database(tmp_path / "master.sqlite")
    db.execute("PRAGMA foreign_keys=OFF")
    config = {"checkpoint_storage": {"type": "directory", "container_path": str(tmp_path / "storage")}}
    empty = dict.fromkeys(("name", "original_config", "job_id", "start_time"), "")
    db.insert("experiments", id=1, config=config, user_id=1, state="COMPLETED", labels=[], **empty)
    trial: dict[str, Any] = {"state": "COMPLETED", "hparams": {}, "seed": 0, "start_time": ""}
    db.insert("trials", id=1, experiment_id=1, number=0, task_id="t", **trial)
    roots = [tmp_path / "storage" / str(uuid.uuid4()) for _ in range(3)]
    for root in roots:
        saved: dict[str, Any] = {"allocation_id": "", "report_time": "", "metadata": {}, "steps": 1}
        db.insert("checkpoints", uuid=root.name, trial_id=1, state="DELETED", resources={"a": 1}, **saved)
        for number in range(200):
            (root / f"{number}" / "deep").mkdir(parents=True)
            (root / f"{number}" / "deep" / "file").touch()
    yield db, roots
    db.close()


def test_files_that_cannot_be_deleted_keep_no_others(
    deleted: tuple[Database, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    db, roots = deleted
    remove = storage._remove_tree

    def refuse(root: Path) -> None:
        if root.name == stuck:
            raise PermissionError(13, "Permission denied", str(root))
        remove(root)

    stuck = db.value("SELECT uuid FROM checkpoints LIMIT 1")
    monkeypatch.setattr(storage, "_remove_tree", refuse)
    with pytest.raises(FailedPrecondition, match=f"checkpoint {stuck} could not be deleted: .*Permission denied"):
        asyncio.run(storage.finish(db))
    assert [root.name for root in roots if root.exists()] == [stuck]
    assert db.value("SELECT count(*) FROM checkpoints WHERE resources = '{}'") == 2


def test_two_may_delete_the_same_files_at_once(deleted: tuple[Database, list[Path]]) -> None:
    db, roots = deleted

    async def both() -> None:
        await asyncio.gather(*(storage.finish(db) for _ in range(4)))

    asyncio.run(both())
    assert not any(root.exists() for root in roots)
