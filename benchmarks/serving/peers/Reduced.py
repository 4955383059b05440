"""The wrapper without some of what changes Seldon's microservice: WITHOUT names their modules."""

import importlib
import os

for name in os.environ["WITHOUT"].split(","):
    module = importlib.import_module(f"fashion_classifier.{name}")
    if not callable(module.install):
        raise TypeError(f"{name}.install is what changes the microservice")
    module.install = lambda *_: None

from FashionClassifier import FashionClassifier as Reduced  # noqa: E402, F401
