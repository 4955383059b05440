"""What the feedback sender is given of the client's configuration, and what stays with the client."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.release.access import active_context
from deploy.release.errors import ManifestError

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
