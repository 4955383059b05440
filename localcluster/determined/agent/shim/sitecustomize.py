"""Moves /run/determined into the directory of the trial (DET_LOCAL_RUN_DIR), in every Python of the trial.

In a container each trial has a /run/determined of its own; plain processes share one file system.  The harness keeps
these paths in two modules, partly as default arguments, so both are adjusted right after they are executed.  A
sitecustomize of the user's, further down the path, is run as well.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from typing import Any

_FIXED = "/run/determined"
_MODULES = {"determined._info", "determined.constants", "determined.util"}


def _moved(value: Any) -> Any:
    return os.environ["DET_LOCAL_RUN_DIR"] + value[len(_FIXED) :] if str(value).startswith(_FIXED) else value


def _adjust(module: Any) -> None:
    for name, value in list(vars(module).items()):
        if isinstance(value, str):
            setattr(module, name, _moved(value))
        elif isinstance(value, type) and value.__module__ == module.__name__:
            for attribute in vars(value).values():
                function = getattr(attribute, "__func__", attribute)
                if getattr(function, "__defaults__", None):
                    function.__defaults__ = tuple(_moved(default) for default in function.__defaults__)
    if module.__name__ == "determined.util":
        link = module.force_create_symlink
        # Another user's /tmp/tensorboard cannot be replaced, and nothing current reads it.
        module.force_create_symlink = lambda src, dst: None if dst == "/tmp/tensorboard" else link(src, dst)  # noqa: S108


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name not in _MODULES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            _adjust(module)

        setattr(spec.loader, "exec_module", exec_module)  # noqa: B010
        return spec


def _run_next_sitecustomize() -> None:
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    rest = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]  # noqa: PTH100
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if os.environ.get("DET_LOCAL_RUN_DIR"):
    sys.meta_path.insert(0, _Finder())
_run_next_sitecustomize()
