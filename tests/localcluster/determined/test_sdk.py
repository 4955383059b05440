"""What deleting leaves in the local storage."""

from __future__ import annotations

import pytest
from determined.common import api
from determined.common.api import errors
from determined.experimental import client

from .conftest import Cluster, eventually


@pytest.mark.slow
def test_a_checkpoint_is_deleted_with_its_files(cluster: Cluster, session: api.Session) -> None:
    sdk = client.Determined._from_session(session)
    experiment = cluster.create(session, hyperparameters={"steps": 1})
    cluster.wait(session, experiment)
    checkpoint = sdk.get_experiment(experiment).list_checkpoints()[0]
    files = cluster.home / "determined" / "checkpoints" / checkpoint.uuid
    assert files.is_dir()
    checkpoint.delete()
    assert sdk.get_checkpoint(checkpoint.uuid).state is client.CheckpointState.DELETED
    eventually(lambda: not files.exists(), "the files are gone")
    model = sdk.create_model("of what is deleted")
    with pytest.raises(errors.APIException, match="is DELETED; only a COMPLETED one"):
        model.register_version(checkpoint.uuid)
    model.delete()
    sdk.get_experiment(experiment).delete()
    with pytest.raises(errors.NotFoundException):
        sdk.get_experiment(experiment)
