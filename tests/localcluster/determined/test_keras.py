"""The genuine DeterminedCallback trains, checkpoints, is killed and resumes at the right epoch."""

from __future__ import annotations

from pathlib import Path

import pytest
from determined.common import api, context
from determined.common.api import bindings

from .conftest import Cluster

TRAIN = """
import os, signal
import numpy as np
import tensorflow as tf
import determined as det
from determined import core, keras

info = det.get_cluster_info()
with core.init() as context:
    model = tf.keras.Sequential([tf.keras.layers.Dense(2, activation="softmax", input_shape=(3,))])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    callback = keras.DeterminedCallback(context, checkpoint=info.latest_checkpoint, continue_id=info.trial.trial_id)

    class Die(tf.keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            print("epoch", epoch, "of run", info.trial._trial_run_id, flush=True)
            if epoch == 2 and info.trial._trial_run_id == 1:
                os.kill(os.getpid(), signal.SIGKILL)

    data = np.zeros((32, 3)), np.zeros(32)
    model.fit(*data, batch_size=8, validation_data=data, epochs=4, callbacks=[callback, Die()], verbose=0)
"""
CONFIG = """
name: keras
entrypoint: python3 train.py
searcher: {name: single, metric: val_accuracy, smaller_is_better: false}
max_restarts: 1
"""


@pytest.mark.slow
def test_a_killed_keras_trial_resumes_at_its_epoch(cluster: Cluster, session: api.Session, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    body = bindings.v1CreateExperimentRequest(
        config=CONFIG, activate=True, modelDefinition=context.read_v1_context(tmp_path)
    )
    experiment = bindings.post_CreateExperiment(session, body=body).experiment.id
    assert cluster.wait(session, experiment, 200) == "STATE_COMPLETED"
    trial = cluster.trial(session, experiment)
    text = cluster.logs(session, trial.id)
    assert trial.restarts == 1
    assert [text.count(f"epoch {epoch} of run 2") for epoch in range(4)] == [0, 0, 1, 1]
    checkpoints = bindings.get_GetExperimentCheckpoints(session, id=experiment).checkpoints
    assert max(found.metadata["steps_completed"] for found in checkpoints) == 16
