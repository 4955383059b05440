"""Where the data set is looked for, in which order, and what is said when it is nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from data import sources
from data.__main__ import main
from data.catalog import FILES
from data.errors import ChecksumMismatch, NoSource, SourceUnavailable


@pytest.fixture
def everything_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of the sources is under test here, not the sums."""
    monkeypatch.setattr(sources, "verify", lambda file, content, origin: content)


def filled(folder: Path, mark: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        (folder / file.name).write_bytes(mark + file.name.encode())
    return folder


def unreachable(*_: object) -> sources.Files:
    raise SourceUnavailable("no network")


@pytest.mark.usefixtures("everything_valid")
def test_a_named_folder_is_the_only_source(tmp_path: Path) -> None:
    cache = filled(tmp_path / "cache", b"cached ")
    name, files = sources.find(filled(tmp_path / "mine", b"mine "), cache, print)
    assert name.startswith("folder ")
    assert all(content.startswith(b"mine ") for content in files.values())
    with pytest.raises(SourceUnavailable, match="train-images"):
        sources.find(tmp_path / "empty", cache, print)


def test_a_named_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChecksumMismatch):
        sources.find(filled(tmp_path, b"other "), tmp_path / "cache", print)


@pytest.mark.usefixtures("everything_valid")
def test_the_cache_comes_first_and_later_sources_fill_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    package = filled(tmp_path / "package", b"debian ")
    monkeypatch.setattr(sources, "from_official", unreachable)
    monkeypatch.setattr(sources, "from_debian", lambda report: sources.from_folder(package))
    assert sources.find(None, cache, print)[0].startswith("Debian package")
    assert sources.find(None, cache, print)[0].startswith("cache ")
    assert sorted(path.name for path in cache.iterdir()) == sorted(file.name for file in FILES)


def test_a_cache_that_cannot_be_written_is_said_and_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    said: list[str] = []
    good = {file.name: b"good" for file in FILES}
    monkeypatch.setattr(sources, "from_official", lambda report: good)
    assert sources.find(None, tmp_path / "file" / "cache", said.append) == ("official download", good)
    assert "not kept" in said[0]


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        sources.find(filled(tmp_path / "mine", b""), tmp_path / "cache", print)


def test_a_spoilt_cache_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = filled(tmp_path / "cache", b"spoilt ")
    good = {file.name: b"good" for file in FILES}
    monkeypatch.setattr(sources, "from_official", lambda report: good)
    assert sources.find(None, cache, print) == ("official download", good)
    assert all((cache / file.name).read_bytes() == b"good" for file in FILES)


def test_nowhere_lists_what_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "from_official", unreachable)
    monkeypatch.setattr(sources, "from_debian", unreachable)
    with pytest.raises(NoSource) as caught:
        sources.find(None, tmp_path, print)
    text = str(caught.value)
    assert "cache" in text
    assert text.count("no network") == 2
    assert "make data DATA_DIR=" in text


def test_apt_get_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "apt-get"
    tool.write_text("#!/bin/sh\necho 'E: no route to the archive' >&2\nexit 100\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(sources, "DEBIAN_FOLDER", Path("nowhere"))
    with pytest.raises(SourceUnavailable, match="apt-get failed: E: no route to the archive"):
        sources.from_debian(print)


@pytest.mark.parametrize("number", ["0", "-3", "1.5", "abc", "²"])
def test_what_is_no_number_of_images_is_said(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([f"--first={number}"])
    assert f"{number!r} is not a number from 1 on" in capsys.readouterr().err
