"""The original way: a Keras model and `model.predict` behind Seldon's `predict` hook."""

import json
import os
import sys
from pathlib import Path

import numpy as np


class Original:
    def load(self):
        checkpoint = Path(os.environ["CHECKPOINT"])
        sys.path.append(os.environ["MODEL_SOURCE"])
        import network
        import tensorflow as tf

        metadata = json.loads((checkpoint / "serving" / "metadata.json").read_text())
        recipe = metadata["hyperparameters"]
        trained = network.build(recipe["width"], recipe["late_width"], recipe["depth"], 10)
        trained.load_weights(str(checkpoint / "model_checkpoint")).expect_partial()
        images = tf.keras.Input((28, 28), dtype=tf.uint8)
        logits = network.logits(trained, images, recipe["flip"])
        self.model = tf.keras.Model(images, tf.nn.softmax(logits / metadata["temperature"]))

    def predict(self, X, names, meta=None):  # noqa: ARG002, N803 - Seldon's signature
        return self.model.predict(np.asarray(X, np.uint8), verbose=0)
