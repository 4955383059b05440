"""What `python -m localcluster` asks before it deletes."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from localcluster.__main__ import main


@pytest.mark.parametrize(("answer", "deleted"), [("", False), ("\n", False), ("n\n", False), (" Yes\n", True)])
def test_state_is_deleted_by_a_yes_alone(
    answer: str, deleted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An end of input, as in a script, is no answer."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("LOCALCLUSTER_HOME", str(home))
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert main(["reset"]) == (0 if deleted else 1)
    assert home.exists() is not deleted
    assert ("nothing was deleted" in capsys.readouterr().err) is not deleted
