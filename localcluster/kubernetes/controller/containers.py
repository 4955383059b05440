"""What a container's process is given: its command, its environment and its ports, from image and Pod."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from localcluster.kubernetes.controller.images import Image
from localcluster.kubernetes.controller.volumes import entries
from localcluster.kubernetes.errors import ConfigError
from localcluster.kubernetes.state.kinds import CONFIG_MAP, SECRET, Object
from localcluster.kubernetes.state.store import Store

Mounts = Mapping[str, Path]
"""Mount path -> the volume's directory."""

MICROSERVICE = "seldon-core-microservice"
LAUNCHER = Path(__file__).parent.parent / "launcher.py"


def command(container: Object, image: Image, serving: Path, mounts: Mounts) -> list[str]:
    """The argument list, with the microservice's name replaced by the launcher that keeps it on the loopback."""
    entrypoint = container.get("command") or image.config.get("Entrypoint") or []
    arguments = container.get("args") or ([] if container.get("command") else image.config.get("Cmd") or [])
    argv = [inside(str(word), image.root, mounts) for word in [*entrypoint, *arguments]]
    if not argv:
        raise ConfigError("no command specified, neither in the image nor in the container")
    if Path(argv[0]).name == MICROSERVICE:
        return [str(serving / "bin" / "python"), "-P", str(LAUNCHER), *argv[1:]]
    return argv


def working_directory(container: Object, image: Image) -> Path:
    """Where the process starts, inside the unpacked image."""
    wanted = container.get("workingDir") or image.config.get("WorkingDir") or "/"
    path = image.root / str(wanted).lstrip("/")
    if not path.is_dir():
        raise ConfigError(f"working directory {wanted} is not in the image")
    return path


def environment(
    store: Store,
    pod: Object,
    container: Object,
    image: Image,
    ports: dict[str, int],
    serving: Path,
    home: Path,
    mounts: Mounts,
) -> dict[str, str]:
    """The whole environment: the base's, the image's, the container's; nothing of the controller's own.

    Absolute paths below a mount lead into its volume, those below a top-level directory of the image into the unpacked
    image; variables named `..._PORT` whose value is a declared container port carry the real one.
    """
    base = {"LANG": "C.UTF-8", "HOME": str(home), "HOSTNAME": pod["metadata"]["name"], "PYTHONDONTWRITEBYTECODE": "1"}
    values = dict(text.partition("=")[::2] for text in image.config.get("Env") or [])
    for source in container.get("envFrom") or []:
        prefix = source.get("prefix", "")
        values |= {prefix + key: value for key, value in _source(store, pod, source, "Ref").items()}
    for variable in container.get("env") or []:
        values[variable["name"]] = _value(store, pod, variable)
    values = base | {name: inside(value, image.root, mounts) for name, value in values.items()}
    for name, value in values.items():
        if name.endswith("_PORT") and value in ports:
            values[name] = str(ports[value])
    values["PATH"] = f"{serving / 'bin'}:{os.defpath}"
    return values


def inside(value: str, root: Path, mounts: Mounts) -> str:
    """An absolute path of the container as a path of this machine; everything else unchanged."""
    if value.startswith("/") and ":" not in value:
        for path in sorted(mounts, key=len, reverse=True):
            if f"{value}/".startswith(f"{path}/"):
                return str(mounts[path] / value.removeprefix(path).lstrip("/"))
        top = value.split("/")[1]
        if top and (root / top).is_dir():
            return str(root / value.lstrip("/"))
    return value


def _value(store: Store, pod: Object, variable: Object) -> str:
    source = variable.get("valueFrom")
    if not source:
        return str(variable.get("value") or "")
    if field := source.get("fieldRef"):
        known = {
            "metadata.name": pod["metadata"]["name"],
            "metadata.namespace": pod["metadata"]["namespace"],
            "metadata.uid": pod["metadata"]["uid"],
            "status.podIP": "127.0.0.1",
        }
        if field["fieldPath"] in known:
            return str(known[field["fieldPath"]])
    for name in ("secretKeyRef", "configMapKeyRef"):
        if reference := source.get(name):
            data = _source(store, pod, source, "KeyRef")
            if reference["key"] in data or reference.get("optional"):
                return data.get(reference["key"], "")
            raise ConfigError(f"couldn't find key {reference['key']} in {name[:-6]} {reference['name']}")
    raise ConfigError(f"the source of variable {variable['name']} is not served by the local cluster: {source}")


def _source(store: Store, pod: Object, source: Object, suffix: str) -> dict[str, str]:
    for name, kind in (("secret", SECRET), ("configMap", CONFIG_MAP)):
        if reference := source.get(name + suffix):
            found = entries(store, kind, pod["metadata"]["namespace"], reference["name"])
            if found is None and not reference.get("optional"):
                raise ConfigError(f'{kind.name.lower()} "{reference["name"]}" not found')
            return {key: os.fsdecode(content) for key, content in (found or {}).items()}
    raise ConfigError(f"envFrom {source} is not served by the local cluster")
