"""Unpacking images: verified, contained, read-only, all or nothing."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from localcluster.kubernetes.controller import images
from localcluster.kubernetes.errors import ImageError
from tests.localcluster.kubernetes.images import write_image, write_layers


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    path.mkdir()
    return path


def layer(*members: tarfile.TarInfo, **files: str) -> bytes:
    """A tar archive of files (by path, `__` for `/`) and of ready-made members."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name.replace("__", "/"))
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
        for member in members:
            tar.addfile(member)
    return raw.getvalue()


def empty(name: str, **fields: object) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(member, field, value)
    return member


@pytest.mark.parametrize(
    "reference",
    [
        "clf:v3",
        "localhost/clf:v3",
        "docker.io/library/clf:v3",
        "clf@{digest}",
        "localhost/clf@{digest}",
        "clf:v3@{digest}",
    ],
)
def test_a_reference_is_resolved_and_unpacked_read_only(layout: Path, tmp_path: Path, reference: str) -> None:
    digest = write_image(layout, "clf:v3", {"app/main.py": "x = 1", "model/a": "weights"}, ["run"], ["A=1"])
    image = images.pull(layout, tmp_path / "rootfs", reference.format(digest=digest))
    assert image.digest == digest
    assert (image.root / "app" / "main.py").read_text() == "x = 1"
    assert image.config["Env"] == ["A=1"]
    for path in (image.root, *image.root.rglob("*")):
        assert path.stat().st_mode & 0o222 == 0, path


def test_no_tag_means_latest(layout: Path) -> None:
    digest = write_image(layout, "clf:latest", {"app/a": "1"}, ["run"])
    assert images.resolve(layout, "clf") == digest


@pytest.mark.parametrize("reference", ["clf:v4", "other:v3", "clf@sha256:" + "0" * 64, "clf"])
def test_an_unknown_reference_names_itself(layout: Path, reference: str) -> None:
    write_image(layout, "clf:v3", {"app/a": "1"}, ["run"])
    with pytest.raises(ImageError, match=reference):
        images.resolve(layout, reference)


def test_an_unpacked_digest_needs_no_layout(layout: Path, tmp_path: Path) -> None:
    digest = write_image(layout, "clf:v3", {"app/a": "1"}, ["run"])
    first = images.pull(layout, tmp_path / "rootfs", "clf:v3")
    (layout / "index.json").unlink()
    assert images.pull(layout, tmp_path / "rootfs", f"clf@{digest}") == first


def test_two_containers_of_one_image_get_the_same_directory(
    layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unpacked a second time, it would be taken away from the container that has begun in it."""
    write_image(layout, "clf:v3", {"app/a": "1"}, ["run"])
    both, unpacked, extract = threading.Barrier(2), [], images._extract

    def together(layer: Path, root: Path) -> None:
        unpacked.append(root)
        with suppress(threading.BrokenBarrierError):
            both.wait(0.5)
        extract(layer, root)

    monkeypatch.setattr(images, "_extract", together)
    with ThreadPoolExecutor(2) as pool:
        found = set(pool.map(lambda _: images.pull(layout, tmp_path / "rootfs", "clf:v3").root, range(2)))
    assert len(found) == 1
    assert len(unpacked) == 1


@pytest.mark.parametrize("part", ["manifest", "config", "layer"])
def test_a_damaged_blob_is_found_and_nothing_is_left(layout: Path, tmp_path: Path, part: str) -> None:
    digest = write_image(layout, "clf:v3", {"app/a": "1"}, ["run"])
    manifest = json.loads((layout / "blobs/sha256" / digest[7:]).read_text())
    damaged = {"manifest": digest, "config": manifest["config"]["digest"], "layer": manifest["layers"][0]["digest"]}[
        part
    ]
    path = layout / "blobs/sha256" / damaged[7:]
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ImageError, match="damaged"):
        images.pull(layout, tmp_path / "rootfs", "clf:v3")
    assert not list((tmp_path / "rootfs").iterdir())
    path.write_bytes(path.read_bytes()[:-1])
    assert images.pull(layout, tmp_path / "rootfs", "clf:v3").digest == digest


@pytest.mark.parametrize(
    "member",
    [
        empty("../escaped"),
        empty("app/../../escaped"),
        empty("link", type=tarfile.SYMTYPE, linkname="../../escaped"),
        empty("link", type=tarfile.LNKTYPE, linkname="../../../etc/hostname"),
        empty("device", type=tarfile.CHRTYPE),
        empty("../.wh.precious"),
    ],
    ids=lambda member: f"{member.name}-{member.type.decode()}",
)
def test_nothing_escapes(layout: Path, tmp_path: Path, member: tarfile.TarInfo) -> None:
    rootfs = tmp_path / "rootfs"
    rootfs.mkdir()
    (rootfs / "precious").write_text("kept")
    write_layers(layout, "bad:v1", [layer(member)], ["run"])
    with pytest.raises(ImageError):
        images.pull(layout, rootfs, "bad:v1")
    assert [path.name for path in rootfs.iterdir()] == ["precious"]
    assert not (tmp_path / "escaped").exists()


def test_upper_layers_replace_and_remove(layout: Path, tmp_path: Path) -> None:
    lower = layer(app__a="1", app__b="2", old__c="3", old__d="4")
    upper = layer(empty("app/.wh.a"), empty("old/.wh..wh..opq"), app__b="new", old__e="5")
    write_layers(layout, "clf:v1", [lower, upper], ["run"])
    root = images.pull(layout, tmp_path / "rootfs", "clf:v1").root
    found = {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}
    assert found == {"app/b": "new", "old/e": "5"}
