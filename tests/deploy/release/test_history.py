"""The history in its ConfigMap: newest first, bounded, nothing lost to another writer, and what rollback picks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deploy.release import history, kubectl
from deploy.release.errors import DeployError
from deploy.release.history import LIVE, REFUSED, Entry
from tests.deploy.release.test_manifest import IMAGE


class Cluster:
    """A ConfigMap behind kubectl's words; another writer comes first as often as `races` says."""

    def __init__(self, races: int = 0) -> None:
        self.found: dict[str, Any] | None = None
        self.races = races

    def find(self, *_: str) -> dict[str, Any] | None:
        return self.found

    def run(self, verb: str, *_: str, stdin: str) -> str:
        assert verb == ("replace" if self.found else "create")
        if self.races:
            self.races -= 1
            raise DeployError("Error from server (Conflict): the object has been modified")
        self.found = json.loads(stdin)
        return ""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    fake = Cluster()
    monkeypatch.setattr(kubectl, "find_object", fake.find)
    monkeypatch.setattr(kubectl, "run", fake.run)
    return fake


def entry(version: int, verdict: str = LIVE) -> Entry:
    image = IMAGE | {"model_version": version, "reference": f"fashion-classifier@sha256:{version:064d}"}
    return Entry.of("release", image, verdict)


def test_entries_are_kept_newest_first_and_bounded(cluster: Cluster) -> None:
    for version in range(history.KEPT + 3):
        history.add("default", entry(version))
    kept = history.read("default")
    assert [int(each.version or 0) for each in kept] == list(range(history.KEPT + 2, 2, -1))
    assert kept[0].as_image()["revision"] == IMAGE["revision"]
    assert kept[0].as_image()["digest"] == f"sha256:{history.KEPT + 2:064d}"


def test_a_lost_race_is_run_again_and_a_lasting_one_is_told(cluster: Cluster) -> None:
    cluster.races = 3
    history.add("default", entry(1))
    assert len(history.read("default")) == 1
    cluster.races = 99
    with pytest.raises(DeployError, match="has been modified"):
        history.add("default", entry(2))


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', '[{"version": "3"}]', "[1]"])
def test_a_damaged_history_is_told_and_not_overwritten(cluster: Cluster, text: str) -> None:
    cluster.found = {"data": {"history.json": text}}
    with pytest.raises(DeployError, match="is damaged"):
        history.add("default", entry(1))


def test_rollback_picks_the_newest_other_image_that_was_live() -> None:
    entries = [entry(4, REFUSED), entry(3), entry(3), entry(2), entry(1)]
    assert history.previous(entries, entry(3).image, None) == entry(2)
    assert history.previous([entry(2), *entries], entry(2).image, None) == entry(3)
    assert history.previous(entries, entry(3).image, "1") == entry(1)
    assert history.previous(entries, entry(3).image, "4") is None
    assert history.previous([entry(3)], entry(3).image, None) is None
    assert history.previous(entries, None, None) == entry(3)


def test_refusals_do_not_push_out_what_was_live(cluster: Cluster) -> None:
    for version in (1, 2):
        history.add("default", entry(version))
    for version in range(3, 3 + 2 * history.KEPT):
        history.add("default", entry(version, REFUSED))
    kept = history.read("default")
    assert len(kept) == 2 + history.KEPT
    before = history.previous(kept, entry(2).image, None)
    assert before is not None
    assert before.image == entry(1).image
