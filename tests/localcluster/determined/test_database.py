"""The database file: transactions, and files of another version."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from localcluster.determined.errors import InvalidArgument
from localcluster.determined.state.database import Database
from localcluster.errors import StateOfAnotherVersion


def test_what_was_committed_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    first = Database(tmp_path / "master.sqlite")
    name = first.identity("cluster_id")
    first.close()
    assert Database(tmp_path / "master.sqlite").identity("cluster_id") == name


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    db = Database(tmp_path / "master.sqlite")
    with pytest.raises(sqlite3.IntegrityError), db.transaction():
        db.many("INSERT INTO meta VALUES (?, ?)", [("half", "done"), ("half", "again")])
    assert db.row("SELECT * FROM meta WHERE key = 'half'") is None


def test_a_commit_that_fails_leaves_no_transaction_open(tmp_path: Path) -> None:
    db = Database(tmp_path / "master.sqlite")

    def strand() -> None:
        with db.transaction():
            db.execute("PRAGMA defer_foreign_keys = ON")
            db.insert("tokens", hash="nobody's", user_id=4711, expires_at="")

    with pytest.raises(sqlite3.IntegrityError):
        strand()
    with db.transaction():
        db.insert("meta", key="kept", value="yes")
    db.close()
    again = Database(tmp_path / "master.sqlite")
    assert again.value("SELECT value FROM meta WHERE key = 'kept'") == "yes"
    assert again.row("SELECT * FROM tokens") is None


@pytest.mark.parametrize("value", [2**63, "\ud800"], ids=["too large", "half a character"])
def test_what_sqlite_cannot_hold_is_refused(tmp_path: Path, value: int | str) -> None:
    db = Database(tmp_path / "master.sqlite")
    with pytest.raises(InvalidArgument, match="cannot be stored"):
        db.insert("meta", key="odd", value=value)


def test_a_file_of_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "master.sqlite"
    with sqlite3.connect(path) as old:
        old.execute("CREATE TABLE precious (value TEXT)")
        old.execute("PRAGMA user_version = 1")
    with pytest.raises(StateOfAnotherVersion, match=r"version 1, this master reads version 2.*make reset"):
        Database(path)
    assert sqlite3.connect(path).execute("SELECT count(*) FROM precious").fetchone() == (0,)
