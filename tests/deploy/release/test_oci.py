"""The layout follows the OCI image specification, to the byte the same for the same input."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tarfile
import threading
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from deploy.release import oci
from deploy.release.errors import LayoutError

CONTENTS = {"model/model.tflite": b"\x00\x01", "app/FashionClassifier.py": b"pass\n", "app/package/__init__.py": b""}
CONFIG = {"Entrypoint": ["x"], "WorkingDir": "/app"}


def add(layout: Path, reference: str, content: bytes = b"") -> str:
    layer = oci.layer({**CONTENTS, "model/extra": content}, 0)
    return oci.add_image(layout, reference, layer, CONFIG, {"b": "2", "a": "1"}, 0)


def index(layout: Path) -> list[dict[str, Any]]:
    document = json.loads((layout / "index.json").read_text())
    assert (document["schemaVersion"], document["mediaType"]) == (2, oci.INDEX)
    manifests: list[dict[str, Any]] = document["manifests"]
    return manifests


def tags(layout: Path) -> dict[str, str]:
    return {each["annotations"][oci.REFERENCE]: each["digest"] for each in index(layout) if "annotations" in each}


def blob(layout: Path, descriptor: dict[str, Any]) -> bytes:
    algorithm, _, digest = descriptor["digest"].partition(":")
    content: bytes = (layout / "blobs" / algorithm / digest).read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest
    assert len(content) == descriptor["size"]
    return content


def test_a_layout_holds_what_the_specification_asks_for(tmp_path: Path) -> None:
    digest = add(tmp_path, "name:v1")
    assert json.loads((tmp_path / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (descriptor,) = index(tmp_path)
    assert descriptor["digest"] == digest
    assert descriptor["mediaType"] == oci.MANIFEST
    manifest = json.loads(blob(tmp_path, descriptor))
    assert (manifest["schemaVersion"], manifest["mediaType"]) == (2, oci.MANIFEST)
    assert manifest["config"]["mediaType"] == oci.CONFIG
    (layer,) = manifest["layers"]
    assert layer["mediaType"] == oci.LAYER
    image = json.loads(blob(tmp_path, manifest["config"]))
    assert image["rootfs"] == {"type": "layers", "diff_ids": [layer["digest"]]}
    assert (image["os"], image["architecture"]) == ("linux", "amd64")
    assert image["config"] == {**CONFIG, "Labels": {"a": "1", "b": "2"}}
    names = {digest.removeprefix("sha256:") for digest in (digest, layer["digest"], manifest["config"]["digest"])}
    assert {path.name for path in (tmp_path / "blobs" / "sha256").iterdir()} == names


def test_a_layer_is_sorted_and_names_no_machine(tmp_path: Path) -> None:
    with tarfile.open(fileobj=BytesIO(oci.layer(CONTENTS, 86400))) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == [
        "app",
        "app/FashionClassifier.py",
        "app/package",
        "app/package/__init__.py",
        "model",
        "model/model.tflite",
    ]
    assert {(member.uid, member.gid, member.uname, member.gname, member.mtime) for member in members} == {
        (0, 0, "", "", 86400)
    }
    assert {member.mode for member in members if member.isdir()} == {0o755}
    assert {member.mode for member in members if member.isfile()} == {0o644}


def test_the_same_input_gives_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    reverse = dict(reversed(CONTENTS.items()))
    assert oci.layer(CONTENTS, 0) == oci.layer(reverse, 0)
    assert add(tmp_path / "one", "name:v1") == add(tmp_path / "two", "name:v1")
    assert add(tmp_path / "one", "name:v1", b"other") != add(tmp_path / "two", "name:v1")


def test_other_tags_stay_and_a_moved_tag_leaves_the_old_image(tmp_path: Path) -> None:
    first, other = add(tmp_path, "name:v1", b"1"), add(tmp_path, "name:v2", b"2")
    second = add(tmp_path, "name:v1", b"3")
    assert tags(tmp_path) == {"name:v1": second, "name:v2": other}
    assert {each["digest"] for each in index(tmp_path)} == {first, second, other}
    assert add(tmp_path, "name:v1", b"1") == first
    assert add(tmp_path, "name:v1", b"1") == first
    assert sorted(each["digest"] for each in index(tmp_path)) == sorted({first, second, other})
    for each in index(tmp_path):
        blob(tmp_path, each)


def test_a_damaged_blob_is_written_again(tmp_path: Path) -> None:
    digest = add(tmp_path, "name:v1")
    (tmp_path / "blobs" / "sha256" / digest.removeprefix("sha256:")).write_bytes(b"damaged")
    assert add(tmp_path, "name:v1") == digest
    blob(tmp_path, index(tmp_path)[0])


def test_builds_at_the_same_time_lose_no_tag(tmp_path: Path) -> None:
    references = [f"name:v{number}" for number in range(12)]
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(add, [tmp_path] * len(references), references, [r.encode() for r in references]))
    assert sorted(tags(tmp_path)) == sorted(references)


def test_a_build_waits_for_the_other_one(tmp_path: Path) -> None:
    add(tmp_path, "name:v1")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    build = threading.Thread(target=add, args=(tmp_path, "name:v2"))
    build.start()
    build.join(0.3)
    assert "name:v2" not in tags(tmp_path)
    os.close(descriptor)
    build.join(30)
    assert "name:v2" in tags(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"manifests": 5}', "{broken"])
def test_something_else_in_place_of_the_index_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    tmp_path.joinpath("index.json").write_text(content)
    with pytest.raises(LayoutError, match=r"index\.json"):
        add(tmp_path, "name:v1")
    assert tmp_path.joinpath("index.json").read_text() == content


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("")
    with pytest.raises(LayoutError, match="IMAGE_LAYOUT"):
        add(tmp_path / "file" / "layout", "name:v1")
