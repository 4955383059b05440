"""What was acknowledged is in the spool: whole, once, whoever writes, closes or dies at the same time."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from unittest.mock import Mock

import pytest

from deploy.fashion_classifier import spool
from deploy.fashion_classifier.errors import SpoolError
from deploy.fashion_classifier.spool import Spool
from localcluster.settings import REPOSITORY

LIMIT = 2**20

WRITER = """
import os, sys, threading
from pathlib import Path
from deploy.fashion_classifier.spool import Spool

spool = Spool(Path(sys.argv[1]), 2**30)

def write(thread):
    for number in range(40):
        line = f"{sys.argv[2]}-{thread}-{number}"
        spool.append(f"{line} {'x' * 1200}\\n".encode())
        os.write(1, f"{line}\\n".encode())

threads = [threading.Thread(target=write, args=(each,)) for each in range(4)]
for each in threads: each.start()
for each in threads: each.join()
"""


def lines(directory: Path) -> list[bytes]:
    return [line for path in spool.closed(directory) for line in path.read_bytes().splitlines(keepends=True)]


def close_all(directory: Path) -> None:
    spool.close_due(directory, 0, 0)


@pytest.mark.slow
def test_processes_and_threads_write_at_once_while_files_are_closed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [
        subprocess.Popen([*command, str(number)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        for number in range(2)
    ]
    while any(writer.poll() is None for writer in writers):
        close_all(tmp_path)
    acknowledged = [line for writer in writers for line in writer.communicate()[0].split()]
    close_all(tmp_path)
    assert len(acknowledged) == 2 * 4 * 40
    assert Counter(line.split()[0].decode() for line in lines(tmp_path)) == Counter(acknowledged)
    assert {len(line.split()[1]) for line in lines(tmp_path)} == {1200}
    assert len(spool.closed(tmp_path)) > 2


def test_a_closed_file_never_changes_and_its_name_is_not_used_again(tmp_path: Path) -> None:
    writer = Spool(tmp_path, LIMIT)
    writer.append(b"1\n")
    writer.append(b"2\n")
    close_all(tmp_path)
    (first,) = spool.closed(tmp_path)
    assert first.read_bytes() == b"1\n2\n"
    first.unlink()
    writer.append(b"3\n")
    close_all(tmp_path)
    (second,) = spool.closed(tmp_path)
    assert second.read_bytes() == b"3\n"
    assert second.name != first.name
    assert spool.destination(second) == f"/{second.name[:10]}/{second.name}"


@pytest.mark.parametrize(("torn", "whole"), [(b'1\n2\n{"ima', b"1\n2\n"), (b"1\n" + bytes(5000), b"1\n")])
def test_a_torn_last_line_is_dropped(tmp_path: Path, torn: bytes, whole: bytes) -> None:
    Spool(tmp_path, LIMIT).append(torn)
    close_all(tmp_path)
    assert b"".join(lines(tmp_path)) == whole


def test_a_file_without_a_whole_line_is_removed(tmp_path: Path) -> None:
    Spool(tmp_path, LIMIT).append(b"{")
    close_all(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_files_are_closed_by_age_or_size_and_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.open").write_text("not ours")
    Spool(tmp_path, LIMIT).append(b"1\n")
    spool.close_due(tmp_path, 3600, 3)
    assert spool.closed(tmp_path) == []
    spool.close_due(tmp_path, 3600, 2)
    assert len(spool.closed(tmp_path)) == 1
    assert (tmp_path / "notes.open").exists()


def test_a_full_spool_refuses_and_takes_more_once_it_was_sent(tmp_path: Path) -> None:
    writer = Spool(tmp_path, 10)
    writer.append(b"1234567\n")
    with pytest.raises(SpoolError, match="0 MiB wait to be sent to Pachyderm"):
        writer.append(b"890\n")
    close_all(tmp_path)
    assert lines(tmp_path) == [b"1234567\n"]
    spool.closed(tmp_path)[0].unlink()
    writer.append(b"890\n")


def test_a_full_disk_refuses_stores_nothing_and_tears_no_other_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, write, calls = Spool(tmp_path, LIMIT), os.write, []

    def full(descriptor: int, data: bytes) -> int:
        calls.append(data)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[:3])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(SpoolError, match="No space left on device"):
        writer.append(b"1\n3456\n")
    monkeypatch.setattr(os, "write", write)
    writer.append(b"7\n")
    close_all(tmp_path)
    assert lines(tmp_path) == [b"7\n"]


def test_lines_that_could_not_be_synced_are_not_sent_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Spool(tmp_path, LIMIT)
    writer.append(b"1\n")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", Mock(side_effect=OSError(errno.EIO, os.strerror(errno.EIO))))
        with pytest.raises(SpoolError, match="Input/output error"):
            writer.append(b"2\n3\n")
    writer.append(b"4\n")
    close_all(tmp_path)
    assert sorted(lines(tmp_path)) == [b"1\n", b"4\n"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError, match="not stored"):
        Spool(tmp_path / "file", LIMIT).append(b"1\n")
