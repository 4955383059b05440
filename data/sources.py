"""The places that may have Fashion-MNIST, in the order in which they are asked.

A source is a callable that returns the verified bytes of all four files by name, or raises SourceUnavailable.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import requests

from data.catalog import FILES, verify
from data.errors import ChecksumMismatch, NoSource, SourceUnavailable

Files = dict[str, bytes]
Report = Callable[[str], None]

OFFICIAL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
"""Where the authors publish the files (README of the data set)."""

DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("usr/share/datasets/fashion-mnist")


def cache_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where verified files are kept between runs (XDG Base Directory Specification)."""
    base = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fashion-mnist"


@dataclass(frozen=True)
class Source:
    """A named place; `load` returns the four verified files."""

    name: str
    load: Callable[[], Files]


def find(folder: Path | None, cache: Path, report: Report) -> tuple[str, Files]:
    """The first source that has the whole data set, and its files, which are kept in the cache where that can be.

    A folder that the user names is the only source asked: a silent fallback would train on other data than theirs.
    Raises NoSource, or ChecksumMismatch where the named folder holds other files.
    """
    if folder is not None:
        return f"folder {folder}", from_folder(folder)
    sources = [
        Source(f"cache {cache}", lambda: from_folder(cache)),
        Source("official download", lambda: from_official(report)),
        Source(f"Debian package {DEBIAN_PACKAGE}", lambda: from_debian(report)),
    ]
    refusals = []
    for source in sources:
        try:
            files = source.load()
        except (SourceUnavailable, ChecksumMismatch) as error:
            refusals.append(f"  {source.name}: {error}")
            continue
        try:
            keep(files, cache)
        except OSError as error:
            report(f"the files are not kept for the next time: {error}")
        return source.name, files
    raise NoSource(
        "Fashion-MNIST was not found. Tried:\n"
        + "\n".join(refusals)
        + "\nPut the four *-ubyte.gz files into a folder and name it: make data DATA_DIR=/path/to/folder"
    )


def from_folder(folder: Path) -> Files:
    """The files of a local folder."""
    missing = [file.name for file in FILES if not (folder / file.name).is_file()]
    if missing:
        raise SourceUnavailable(f"{folder} has no {', '.join(missing)}")
    try:
        return {file.name: verify(file, (folder / file.name).read_bytes(), str(folder)) for file in FILES}
    except OSError as error:
        raise SourceUnavailable(f"{folder} cannot be read ({error})") from error


def from_official(report: Report) -> Files:
    """The authors' download; ten seconds without a byte count as out of reach."""
    files = {}
    for file in FILES:
        url = f"{OFFICIAL}/{file.name}"
        report(f"downloading {file.name} ({file.size / 1e6:.1f} MB)")
        try:
            answer = requests.get(url, timeout=10)
            answer.raise_for_status()
        except requests.RequestException as error:
            raise SourceUnavailable(f"{url} cannot be reached ({type(error).__name__})") from error
        files[file.name] = verify(file, answer.content, url)
    return files


def from_debian(report: Report) -> Files:
    """Debian's (and Ubuntu's) package, fetched and unpacked by apt and dpkg without root and without installing it."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise SourceUnavailable(f"{tool} is not on the PATH")
    installed = Path("/") / DEBIAN_FOLDER
    if installed.is_dir():
        return from_folder(installed)
    with tempfile.TemporaryDirectory(prefix="fashion-mnist-") as name:
        directory = Path(name)
        report(f"fetching the package {DEBIAN_PACKAGE} with apt-get")
        try:
            _apt_get(directory, "download", DEBIAN_PACKAGE)
        except SourceUnavailable:
            report("updating a private package list, because the system's is empty or old")
            options = _private_lists(directory)
            _apt_get(directory, *options, "update")
            _apt_get(directory, *options, "download", DEBIAN_PACKAGE)
        packages = sorted(directory.glob(f"{DEBIAN_PACKAGE}_*.deb"))
        if not packages:
            raise SourceUnavailable(f"apt-get downloaded no {DEBIAN_PACKAGE}_*.deb")
        _run(["dpkg-deb", "--extract", str(packages[-1]), str(directory / "unpacked")], directory)
        return from_folder(directory / "unpacked" / DEBIAN_FOLDER)


def keep(files: Files, cache: Path) -> None:
    """Put verified files into the cache, each one whole or not at all."""
    cache.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = cache / name
        if path.exists() and path.read_bytes() == content:
            continue
        with tempfile.NamedTemporaryFile(dir=cache, prefix=f".{name}.", delete=False) as stream:
            try:
                stream.write(content)
                stream.flush()
            except OSError:
                Path(stream.name).unlink()
                raise
        Path(stream.name).chmod(0o644)
        Path(stream.name).replace(path)


def _private_lists(directory: Path) -> list[str]:
    state, cache = directory / "state", directory / "cache"
    (state / "lists" / "partial").mkdir(parents=True)
    (cache / "archives" / "partial").mkdir(parents=True)
    return [f"-oDir::State={state}", f"-oDir::Cache={cache}", "-oDir::State::status=/var/lib/dpkg/status"]


def _apt_get(directory: Path, *arguments: str) -> None:
    _run(["apt-get", "-qq", "-oAcquire::Retries=1", "-oAPT::Sandbox::User=", *arguments], directory)


def _run(command: list[str], directory: Path) -> None:
    limit = 300
    try:
        subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True, timeout=limit)
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout).strip().splitlines() or [f"exit code {error.returncode}"]
        raise SourceUnavailable(f"{command[0]} failed: {lines[-1]}") from error
    except subprocess.TimeoutExpired as error:
        raise SourceUnavailable(f"{command[0]} did not end within {limit} s") from error
