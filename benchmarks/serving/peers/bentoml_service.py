"""BentoML: a service with two workers; its access log, on by default, is off."""

import os

import bentoml
import numpy as np
from litert import Model


@bentoml.service(workers=2, logging={"access": {"enabled": False}})
class Clothes:
    def __init__(self):
        self.model = Model(os.environ["MODEL"])

    @bentoml.api
    def predict(self, images: np.ndarray) -> np.ndarray:
        return self.model.probabilities(images.astype(np.uint8))
