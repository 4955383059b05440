"""How near the training step comes to what the machine's arithmetic allows, and where the rest goes.

    python -m benchmarks.training.arithmetic --seeds 1 2 3 4 5

Every variant (threads, oneDNN, XLA, bfloat16, number of filters, batch size, prefetching) is the real trial in a
process of its own (`step.py`), its first steps left out; repeat by repeat, all variants one after the other.
`--seeds` are the repeats.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.training import runs, setting, step
from benchmarks.training.report import RECIPE

RESULTS = "arithmetic.json"
BATCHES = (64, 128, 256, 512)


def main() -> int:
    """Measure what the results file does not hold yet and write the page."""
    parser = setting.parser("arithmetic", __doc__, range(1, 6))
    parser.add_argument("--steps", type=int, default=200, help="steps that are timed; default: %(default)s")
    parser.add_argument("--variants", nargs="*", metavar="VARIANT", help="only these besides the recipe")
    arguments = parser.parse_args()
    measured = variants(setting.recipe()["batch_size"])
    chosen = list(measured) if arguments.variants is None else dict.fromkeys([RECIPE, *arguments.variants])
    if unknown := set(chosen) - set(measured):
        parser.error(f"no variant {', '.join(sorted(unknown))}; there are: {', '.join(measured)}")
    code = f"{setting.trained_code()}-{setting.digest(Path(step.__file__))}"
    common = {"steps": arguments.steps, "code": code}
    keys = [{"variant": name, "seed": seed, **common} for seed in arguments.seeds for name in chosen]

    def measure(data: Path, key: Mapping[str, Any]) -> runs.Values:
        options, environment = measured[key["variant"]]
        return run(data, [*options, f"--seed={key['seed']}"], environment, arguments)

    return runs.complete(arguments, RESULTS, keys, measure, {code})


def variants(batch: int) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Options and environment of step.py by the variant's name; `batch` is the recipe's own."""
    return {
        RECIPE: (["--parts"], {}),
        "one tower": (["--set=towers=1"], {}),
        "one thread": (["--threads=1"], {}),
        "without oneDNN": ([], {"TF_ENABLE_ONEDNN_OPTS": "0"}),
        "with XLA, one tower": (["--xla", "--set=towers=1"], {}),
        # Where the processor lacks it, TensorFlow would compute in float32 and convert.
        **({"bfloat16": (["--bfloat16"], {})} if bfloat16() else {}),
        "2 filters fewer": ([f"--set=width={setting.recipe()['width'] - 2}"], {}),
        "without prefetching": (["--no-prefetch"], {}),
        **{f"batches of {size}": ([f"--set=batch_size={size}"], {}) for size in BATCHES if size != batch},
    }


def run(data: Path, options: list[str], environment: dict[str, str], arguments: argparse.Namespace) -> dict[str, Any]:
    """One process of step.py; SystemExit with its last words if it fails."""
    quick = [f"--set={name}={value}" for name, value in setting.QUICK.items()] if arguments.quick else []
    # The variant's own override comes last and holds.
    command = [sys.executable, "-m", step.__name__, f"--data={data / 'train'}", f"--steps={arguments.steps}"]
    load = setting.load()
    done = subprocess.run(
        [*command, *quick, *options],
        cwd=setting.HERE.parents[1],
        env={**os.environ, **setting.ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "load": load, "bfloat16": bfloat16()}


def bfloat16() -> list[str]:
    """The processor's instructions for bfloat16 arithmetic, as Linux names them."""
    flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return sorted({"avx512_bf16", "amx_bf16"} & set(flags[1].split() if flags else ()))


if __name__ == "__main__":
    sys.exit(main())
