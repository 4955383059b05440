"""What the local master says where the real one would not: the edge of what is served."""

from __future__ import annotations

import pytest
from determined.common import api
from determined.common.api import bindings, errors

from .conftest import Cluster


@pytest.mark.parametrize(
    ("arguments", "call"),
    [(("agent", "list"), "GET /api/v1/agents"), (("workspace", "list"), "GET /api/v1/workspaces")],
    ids=["agents", "workspaces"],
)
def test_an_unserved_call_is_named(cluster: Cluster, arguments: tuple[str, ...], call: str) -> None:
    assert f"{call} is not served" in cluster.det(*arguments, code=1)


def test_models_lie_in_the_only_workspace(session: api.Session) -> None:
    with pytest.raises(errors.NotFoundException, match="the only one here is Uncategorized"):
        bindings.post_PostModel(session, body=bindings.v1PostModelRequest(name="x", workspaceName="Elsewhere"))
