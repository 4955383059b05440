"""What the feedback sender is given of the client's configuration, and what stays with the client."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from deploy.release import access, kubectl
from deploy.release.access import active_context
from deploy.release.errors import ManifestError
from tests.deploy.release.test_phases import BASE

ACTIVE = {"pachd_address": "grpc://127.0.0.1:30650", "session_token": "one"}


def test_only_the_active_context_is_handed_on(tmp_path: Path) -> None:
    contexts = {"here": ACTIVE, "elsewhere": {"session_token": "two"}}
    document = {"user_id": "me", "v2": {"active_context": "here", "contexts": contexts, "metrics": True}}
    (tmp_path / "config.json").write_text(json.dumps(document))
    assert active_context(tmp_path / "config.json") == {"v2": {"active_context": "here", "contexts": {"here": ACTIVE}}}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"v2": {"active_context": "a", "contexts": {}}}', '{"v2": 1}'])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ManifestError, match="is not a Pachyderm configuration"):
        active_context(tmp_path / "config.json")


class Cluster:
    """Notes what kubectl is called with; `found` is the Secret there."""

    def __init__(self, found: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found = found
        self.calls: list[tuple[str, ...]] = []
        monkeypatch.setattr(kubectl, "find_object", self.find)
        monkeypatch.setattr(kubectl, "run", self.run)

    def find(self, *arguments: str) -> dict[str, Any] | None:
        self.calls.append(arguments)
        return self.found

    def run(self, *arguments: str, stdin: str) -> str:
        self.calls.append(arguments)
        return ""


@pytest.mark.parametrize(
    ("found", "verb"), [(None, "create"), ({"metadata": {"labels": access.OWNER}}, "replace")], ids=["new", "there"]
)
def test_the_secret_is_asked_for_by_its_name_alone(
    found: dict[str, Any] | None, verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"v2": {"active_context": "here", "contexts": {"here": ACTIVE}}}))
    monkeypatch.setenv("PACH_CONFIG", str(tmp_path / "config.json"))
    cluster = Cluster(found, monkeypatch)
    assert "feedback goes to Pachyderm" in access.apply(BASE)
    assert cluster.calls == [("secret", access.SECRET, "-n", "default"), (verb, "-f", "-")]


def test_without_a_sender_there_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(None, monkeypatch)
    silent = copy.deepcopy(BASE)
    del silent["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["volumes"]
    assert "only counted" in access.apply(silent)
    assert cluster.calls == []
