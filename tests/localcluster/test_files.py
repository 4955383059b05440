"""Files are whole or absent; secrets are their owner's alone and never change."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from localcluster.files import remove_tree, secret, write_atomically


def test_a_write_replaces_the_whole_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_atomically(path, "one")
    write_atomically(path, b"two", mode=0o600)
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_tree_goes_with_directories_that_nobody_may_enter_and_what_links_lead_to_stays(tmp_path: Path) -> None:
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    outside.mkdir(mode=0o500)
    (tree / "a" / "b" / "file").write_text("x")
    (tree / "a" / "link").symlink_to(outside)
    for directory in (tree / "a" / "b", tree / "a", tree):
        directory.chmod(0)
    remove_tree(tree)
    assert not tree.exists()
    assert stat.S_IMODE(outside.stat().st_mode) == 0o500


def test_a_secret_is_made_once_also_when_many_ask_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "service"
    seen: list[str] = []
    threads = [threading.Thread(target=lambda: seen.append(secret(path))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {path.read_text()}
    assert len(seen[0]) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
