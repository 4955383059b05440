"""Log lines come whole, in order, and also from a file that was moved aside."""

from __future__ import annotations

from pathlib import Path

from localcluster.logs import LogFile, follow


def test_the_tail_of_each_log_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("1\n2\n3\nunfinished")
    (tmp_path / "b.log").write_text("x\n")
    assert list(follow(tmp_path, ["a", "b", "absent"], tail=2, forever=False)) == [("a", "2"), ("a", "3"), ("b", "x")]


def test_a_line_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("half")
    file = LogFile("a", path)
    assert file.read() == []
    with path.open("a") as stream:
        stream.write(" line\nnext\n")
    assert file.read() == ["half line", "next"]


def test_a_rotated_log_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("old\n")
    file = LogFile("a", path)
    assert file.read() == ["old"]
    path.replace(tmp_path / "a.log.1")
    path.write_text("new\n")
    assert file.read() == ["new"]
