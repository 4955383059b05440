"""Tests that share a cluster stay on one worker: else each worker starts it anew, and the suite takes twice as long."""

from __future__ import annotations

import pytest


@pytest.mark.xdist_group("groups")
def test_a_group_is_part_of_what_the_workers_share_out(request: pytest.FixtureRequest) -> None:
    # pytest 9.2 with pytest-xdist 3.8 loses it silently.
    if request.config.getoption("loadgroup", default=False):
        assert request.node.nodeid.endswith("@groups")
