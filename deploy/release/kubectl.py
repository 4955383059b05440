"""Calls the genuine kubectl: `$KUBECTL`, else the one on the PATH, else the one beside this Python."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from deploy.release.errors import DeployError

_LOGGED = re.compile(r"[EWI]\d{4} ")
"""How a line of kubectl's log begins: there is one for each attempt, and the line behind them says the same."""


def find() -> str:
    """The program to call.  Raises DeployError."""
    beside = Path(sys.executable).with_name("kubectl")
    found = os.environ.get("KUBECTL") or shutil.which("kubectl") or (str(beside) if beside.exists() else None)
    if not found:
        raise DeployError("there is no kubectl on the PATH; run make env, or set KUBECTL")
    return found


def run(*arguments: str, stdin: str = "", timeout: float = 60) -> str:
    """Standard output of `kubectl ARGUMENTS`, given `stdin`.  Raises DeployError with kubectl's own words."""
    command = " ".join(("kubectl", *arguments[:3]))
    try:
        done = subprocess.run(
            [find(), *arguments], input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DeployError(f"{command} did not answer in {timeout:.0f} s; is the cluster in KUBECONFIG up?") from error
    except OSError as error:
        raise DeployError(f"{command} cannot be run: {error}; set KUBECTL to a working one") from error
    if done.returncode != 0:
        raise DeployError(f"{command}: {_words(done.stderr.strip() or done.stdout.strip())}")
    return done.stdout


def get(*arguments: str) -> Any:
    """The object, or the list of objects, that `kubectl get ARGUMENTS` names.  Raises DeployError."""
    return json.loads(run("get", *arguments, "-o", "json"))


def find_object(*arguments: str) -> Any | None:
    """The one object that `kubectl get ARGUMENTS` names; None where there is none.  Raises DeployError."""
    text = run("get", *arguments, "-o", "json", "--ignore-not-found")
    return json.loads(text) if text.strip() else None


def _words(printed: str) -> str:
    """What kubectl said, without its log unless there is nothing else, and what to do where no server answered."""
    said = "\n".join(line for line in printed.splitlines() if not _LOGGED.match(line)) or printed
    return f"{said} The local cluster is started by make up" if said.endswith("right host or port?") else said
