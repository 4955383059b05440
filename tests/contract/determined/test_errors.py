"""What is refused: status, gRPC code and words."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.contract.determined.target import Target

NOBODY = 2**31 - 1
UUID = str(uuid.uuid4())
VALID = "{entrypoint: none, searcher: {name: single, metric: loss}}"


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("GET", f"experiments/{NOBODY}", str(NOBODY)),
        ("GET", f"experiments/{NOBODY}/trials", ""),
        ("GET", f"experiments/{NOBODY}/checkpoints", ""),
        ("POST", f"experiments/{NOBODY}/kill", str(NOBODY)),
        ("GET", f"trials/{NOBODY}", str(NOBODY)),
        ("GET", f"checkpoints/{NOBODY:08}-0000-4000-8000-000000000000", "not found"),
        ("GET", "models/nobody-has-this", 'model "nobody-has-this" not found'),
        ("GET", f"models/{NOBODY}", f'model "{NOBODY}" not found'),
        ("GET", "models/nobody-has-this/versions", "not found"),
        ("DELETE", "models/nobody-has-this", "not found"),
    ],
    ids=lambda value: str(value),
)
def test_what_is_not_there(target: Target, method: str, path: str, words: str) -> None:
    refused = target.request(method, f"/api/v1/{path}")
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (404, 5), refused.text
    assert words in error["error"]


def test_a_version_that_is_not_there(target: Target, name: str) -> None:
    model = target.sdk.create_model(name)
    try:
        refused = target.request("GET", f"/api/v1/models/{model.model_id}/versions/7")
        assert refused.status_code == 404
        assert "version 7 for model" in refused.json()["error"]["error"]
        body = {"checkpointUuid": UUID}
        refused = target.request("POST", f"/api/v1/models/{model.model_id}/versions", body)
        assert refused.status_code == 404
        assert UUID in refused.json()["error"]["error"]
    finally:
        model.delete()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "experiments", {"config": "searcher: ["}),
        ("POST", "experiments", {"config": "nonsense: 1"}),
        ("POST", "experiments", {"config": "[" * 100_000}),
        ("POST", "models", {"name": ""}),
        ("POST", "models", {"name": 5}),
        ("POST", "models", {"name": "a name", "labels": "one"}),
        ("POST", "experiments", {"config": 1}),
        ("POST", "experiments", {"config": VALID, "modelDefinition": "train.py"}),
        ("POST", "experiments", {"config": VALID, "modelDefinition": [{"path": "a", "mtime": "noon"}]}),
        ("PATCH", "experiments/1", {"labels": 1}),
        ("PATCH", "experiments/1", {"name": ["a"]}),
        ("PATCH", "experiments/1", {"resources": "many"}),
        ("POST", "checkpoints/rm", {"checkpointUuids": [], "checkpointGlobs": [1]}),
        ("DELETE", "checkpoints", {"checkpointUuids": [{}]}),
        ("PATCH", "checkpoints", {"checkpoints": ["x"]}),
        ("GET", "models?offset=99999999", None),
        ("GET", "trials/one", None),
    ],
    ids=lambda value: None if isinstance(value, dict) else str(value),
)
def test_what_is_wrong_in_itself(target: Target, method: str, path: str, body: Any) -> None:
    refused = target.request(method, f"/api/v1/{path}", body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, 3), refused.text
