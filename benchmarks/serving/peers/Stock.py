"""The stock wrapper: Seldon's `predict` hook, with the LiteRT engine."""

import os

import numpy as np
from litert import Model


class Stock:
    def load(self):
        self.model = Model(os.environ["MODEL"])

    def predict(self, X, names, meta=None):  # noqa: ARG002, N803 - Seldon's signature
        return self.model.probabilities(np.asarray(X, np.uint8))
