"""The store: what was acknowledged stays, writers do not overwrite each other, watches miss nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from localcluster.kubernetes.errors import AlreadyExists, Conflict, Expired, Forbidden, Invalid, NotFound
from localcluster.kubernetes.state import database
from localcluster.kubernetes.state.admission import admit
from localcluster.kubernetes.state.deletion import Deletion
from localcluster.kubernetes.state.kinds import CONFIG_MAP, DEPLOYMENT, NAMESPACE, SECRET, Object
from localcluster.kubernetes.state.store import Store
from localcluster.settings import REPOSITORY


@pytest.fixture
def store(tmp_path: Path) -> Any:
    opened = Store(tmp_path / "state.sqlite", admit)
    opened.create(NAMESPACE, {"metadata": {"name": "default"}})
    yield opened
    opened.close()


def settings_map(name: str = "a", **data: str) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "data": data}


def set_data(**data: str) -> Any:
    return lambda old: old | {"data": data}


def test_metadata_is_the_servers(store: Store) -> None:
    item = store.create(CONFIG_MAP, settings_map() | {"metadata": {"name": "a", "namespace": "default", "uid": "mine"}})
    assert item["metadata"]["uid"] != "mine"
    changed = store.update(CONFIG_MAP, "default", "a", lambda old: {"metadata": {"generation": 7}, "data": {"x": "1"}})
    assert changed["metadata"]["uid"] == item["metadata"]["uid"]
    assert "generation" not in changed["metadata"]
    with pytest.raises(Conflict, match="UID in precondition: other"):
        store.update(CONFIG_MAP, "default", "a", lambda old: {"metadata": {"uid": "other"}})
    assert int(changed["metadata"]["resourceVersion"]) > int(item["metadata"]["resourceVersion"])
    with pytest.raises(AlreadyExists):
        store.create(CONFIG_MAP, settings_map())
    with pytest.raises(NotFound, match="absent"):
        store.create(CONFIG_MAP, {"metadata": {"name": "a", "namespace": "absent"}})


def test_generation_counts_changes_of_the_spec_only(store: Store) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    item = store.create(
        DEPLOYMENT, {"metadata": {"name": "d", "namespace": "default"}, "spec": spec, "status": {"x": 1}}
    )
    assert "status" not in item
    store.set_status(DEPLOYMENT, item, {"replicas": 1})
    labelled = store.update(
        DEPLOYMENT,
        "default",
        "d",
        lambda old: old | {"status": {}, "metadata": old["metadata"] | {"labels": {"x": "y"}}},
    )
    assert labelled["metadata"]["generation"] == 1
    assert labelled["status"] == {"replicas": 1}
    scaled = store.update(DEPLOYMENT, "default", "d", lambda old: old | {"spec": old["spec"] | {"replicas": 3}})
    assert scaled["metadata"]["generation"] == 2


def test_a_change_of_nothing_writes_nothing(store: Store) -> None:
    item = store.create(CONFIG_MAP, settings_map(x="1"))
    version = store.version()
    assert store.update(CONFIG_MAP, "default", "a", set_data(x="1")) == item
    store.update(CONFIG_MAP, "default", "a", set_data(x="2"), dry_run=True)
    store.delete(CONFIG_MAP, "default", "a", dry_run=True)
    assert store.version() == version


def test_an_older_version_is_a_conflict(store: Store) -> None:
    old = store.create(CONFIG_MAP, settings_map())
    store.update(CONFIG_MAP, "default", "a", set_data(x="1"))
    with pytest.raises(Conflict):
        store.update(CONFIG_MAP, "default", "a", lambda _: old | {"data": {"x": "2"}})
    with pytest.raises(Conflict):
        store.delete(CONFIG_MAP, "default", "a", Deletion(uid="another"))


def test_concurrent_writers_all_count(store: Store) -> None:
    store.create(CONFIG_MAP, settings_map(count="0"))

    def work() -> None:
        for _ in range(25):
            store.update(
                CONFIG_MAP, "default", "a", lambda old: old | {"data": {"count": str(int(old["data"]["count"]) + 1)}}
            )

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get(CONFIG_MAP, "default", "a")["data"]["count"] == "100"


def test_the_history_replays_every_change_in_order(store: Store) -> None:
    start = store.version()
    store.create(CONFIG_MAP, settings_map())
    store.create(CONFIG_MAP, settings_map("other"))
    store.update(CONFIG_MAP, "default", "a", set_data(x="1"))
    store.delete(CONFIG_MAP, "default", "a")
    changes, version = store.since(CONFIG_MAP, "default", start)
    assert [(change.type, change.item["metadata"]["name"]) for change in changes] == [
        ("ADDED", "a"),
        ("ADDED", "other"),
        ("MODIFIED", "a"),
        ("DELETED", "a"),
    ]
    assert store.since(CONFIG_MAP, "default", version) == ([], version)


def test_a_history_of_an_earlier_version_is_read_on(store: Store, tmp_path: Path) -> None:
    store.create(CONFIG_MAP, settings_map(n="0"))
    begin = store.version()
    store.update(CONFIG_MAP, "default", "a", set_data(n="1"))
    store.delete(CONFIG_MAP, "default", "a")
    store._connection.execute("ALTER TABLE history DROP COLUMN before")
    again = Store(tmp_path / "state.sqlite", admit)
    changes, _ = again.since(CONFIG_MAP, "default", begin)
    again.close()
    assert [(each.type, each.before == each.item) for each in changes] == [("MODIFIED", True), ("DELETED", True)]


def test_a_version_that_is_too_old_or_never_was_is_expired(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "HISTORY", 5)
    start = store.version()
    for number in range(8):
        store.create(CONFIG_MAP, settings_map(f"m{number}"))
    with pytest.raises(Expired):
        store.since(CONFIG_MAP, "", start)
    with pytest.raises(Expired):
        store.since(CONFIG_MAP, "", 1000)
    assert len(store.since(CONFIG_MAP, "", store.version() - 4)[0]) == 4


def test_rules_of_kinds(store: Store) -> None:
    secret = store.create(
        SECRET, {"metadata": {"name": "s", "namespace": "default"}, "stringData": {"a": "b"}, "data": {"c": "ZA=="}}
    )
    assert secret["data"] == {"a": "Yg==", "c": "ZA=="}
    assert secret["type"] == "Opaque"
    with pytest.raises(Invalid, match="field is immutable"):
        store.update(SECRET, "default", "s", lambda old: old | {"type": "other"})
    with pytest.raises(Invalid, match="RFC 1123"):
        store.create(CONFIG_MAP, settings_map("Upper_Case"))
    with pytest.raises(Forbidden, match="may not be deleted"):
        store.delete(NAMESPACE, "", "default")


def test_what_was_acknowledged_is_there_after_kill_9(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from localcluster.kubernetes.state.admission import admit
from localcluster.kubernetes.state.kinds import CONFIG_MAP, NAMESPACE
from localcluster.kubernetes.state.store import Store
store = Store(Path({str(tmp_path / "state.sqlite")!r}), admit)
store.create(NAMESPACE, {{"metadata": {{"name": "default"}}}})
number = 0
while True:
    store.create(CONFIG_MAP, {{"metadata": {{"name": f"m{{number}}", "namespace": "default"}}}})
    print(number, flush=True)
    number += 1
"""
    writer = subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert writer.stdout
    acknowledged = [int(writer.stdout.readline()) for _ in range(20)]
    writer.send_signal(signal.SIGKILL)
    acknowledged += [int(line) for line in writer.stdout.read().split("\n")[:-1]]
    writer.wait()
    writer.stdout.close()
    store = Store(tmp_path / "state.sqlite", admit)
    names = {item["metadata"]["name"] for item in store.all(CONFIG_MAP)[0]}
    changes, _ = store.since(CONFIG_MAP, "", 1)
    store.close()
    assert {f"m{number}" for number in acknowledged} <= names
    assert len(changes) == len(names)
