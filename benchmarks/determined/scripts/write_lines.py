"""Writes log lines, each with the moment it was written; `pause` seconds apart."""

import time

import determined as det

hparams = det.get_cluster_info().trial.hparams
for number in range(hparams["count"]):
    print(
        f"line {number} at {time.time()} of a training that says what it does in about a hundred characters", flush=True
    )
    if hparams["pause"]:
        time.sleep(hparams["pause"])
