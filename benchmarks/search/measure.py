"""What a search found and what it saved: `python -m benchmarks.search.measure --search ID --const ID`.

Reads two finished experiments from the Determined master through its SDK: the search of adaptive.yaml and, to compare
with, one of const.yaml.  The best model of each experiment is evaluated once on the validated test split, which comes
from the Pachyderm of PACH_CONFIG.  Results go to results.json beside this file; README.md and rungs.png are made of it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from determined.common import util
from determined.common.api import bindings
from determined.experimental.client import Experiment

from benchmarks.search import report
from data import ingest, validated
from fmnist import registry
from fmnist.hardware import hardware
from fmnist.model import curves, submit
from fmnist.test import serving
from fmnist.test.evaluation import Evaluation
from fmnist.test.settings import TEST_DATA

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Read both experiments, evaluate their best models, and write results, page and picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.measure", description=__doc__)
    parser.add_argument("--search", type=int, required=True, help="id of the finished experiment of adaptive.yaml")
    parser.add_argument("--const", type=int, required=True, help="id of the finished experiment of const.yaml")
    parser.add_argument(
        "--note", default="", help="a sentence for the page, such as what else the machine did meanwhile"
    )
    arguments = parser.parse_args()
    client = registry.connect()
    search = client.get_experiment(arguments.search)
    config = search.config or {}
    split = validated.read(ingest.connect(), TEST_DATA)
    results = {
        "hardware": hardware(),
        "note": arguments.note,
        "searcher": config["searcher"],
        "epochs": curves.epochs(search),
        "trials": [dataclasses.asdict(curve) for curve in curves.read(search)],
        "winner": best(search, split),
        "const": best(client.get_experiment(arguments.const), split),
    }
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    report.write(HERE)
    return 0


def seconds(experiment: int) -> float:
    """From the creation of an experiment to its end."""
    found = bindings.get_GetExperiment(registry.session(), experimentId=experiment).experiment
    if not found.endTime:
        raise SystemExit(f"experiment {experiment} has not ended: det experiment wait {experiment}")
    began, ended = (util.parse_protobuf_timestamp(text) for text in (found.startTime, found.endTime))
    return float(round((ended - began).total_seconds(), 1))


def best(experiment: Experiment, split: validated.ValidatedSplit) -> dict[str, Any]:
    """The experiment's best servable checkpoint and its accuracy on the test split."""
    took, checkpoint = seconds(experiment.id), submit.best(experiment)
    training = checkpoint.training
    assert training is not None, "the master knows the trial of every checkpoint that an experiment lists"
    with tempfile.TemporaryDirectory() as folder:
        model = serving.load(Path(checkpoint.download(folder)))
        accuracy = Evaluation(model.predict(split.images), split.labels, model.labels).accuracy
    return {
        "trial": training.trial_id,
        "hyperparameters": training.hparams,
        "parameters": model.metadata["model"]["parameters"],
        **model.metadata["metrics"],
        "git_commit": model.provenance["git"]["commit"],
        "test_accuracy": accuracy,
        "seconds": took,
    }


if __name__ == "__main__":
    sys.exit(main())
