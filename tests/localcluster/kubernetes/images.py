"""Tiny images for the tests: an OCI layout on disk, with the genuine microservice or a bare server to run."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

WRAPPER = '''
class Tiny:
    """Answers every prediction with its label, which tests change from image to image."""

    def predict(self, X, names, meta=None):
        return [{label!r}]

    def health_status(self):
        return "ok"
'''

SERVER = """
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        body = json.dumps({"label": {label!r}, "pid": os.getpid(), "path": self.path, "env": dict(os.environ)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, format, *arguments):
        print("request", self.path, flush=True)

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("serving", {label!r}, flush=True)
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PREDICTIVE_UNIT_HTTP_SERVICE_PORT"])), Handler).serve_forever()
"""


def microservice(layout: Path, reference: str, label: str = "tiny") -> str:
    """An image of the genuine seldon-core-microservice with a trivial wrapper; returns its digest."""
    command = ["seldon-core-microservice", "Tiny", "--service-type", "MODEL"]
    files = {"app/Tiny.py": WRAPPER.replace("{label!r}", repr(label)), "model/label.txt": label}
    return write_image(layout, reference, files, command, env=["MODEL_DIR=/model"])


def server(layout: Path, reference: str, label: str) -> str:
    """An image of a bare HTTP server, which starts in a tenth of a second; returns its digest."""
    files = {"app/server.py": SERVER.replace("{label!r}", repr(label)), "model/label.txt": label}
    return write_image(layout, reference, files, ["python", "server.py"], env=["MODEL_DIR=/model"])


def write_image(
    layout: Path, reference: str, files: dict[str, str], command: list[str], env: list[str] | None = None
) -> str:
    """Add an image of one layer to the layout; returns the manifest digest."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content.encode()), 0o644
            tar.addfile(member, io.BytesIO(content.encode()))
    return write_layers(layout, reference, [archive.getvalue()], command, env)


def write_layers(
    layout: Path, reference: str, layers: list[bytes], command: list[str], env: list[str] | None = None
) -> str:
    """Add an image made of the given tar archives to the layout; returns the manifest digest."""
    config = {"Entrypoint": command, "WorkingDir": "/app", "Env": env or []}
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    image: dict[str, Any] = {"architecture": "amd64", "os": "linux", "config": config}
    image["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(layout, json.dumps(image).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [
            blob(layout, gzip.compress(layer, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")
            for layer in layers
        ],
    }
    descriptor = blob(layout, json.dumps(manifest).encode(), manifest["mediaType"])
    descriptor["annotations"] = {"org.opencontainers.image.ref.name": reference}
    index_file = layout / "index.json"
    index: dict[str, Any] = {"schemaVersion": 2, "manifests": []}
    if index_file.exists():
        index = json.loads(index_file.read_text())
    index["manifests"] = [each for each in index["manifests"] if each["annotations"] != descriptor["annotations"]]
    index["manifests"].append(descriptor)
    index_file.write_text(json.dumps(index))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return str(descriptor["digest"])


def blob(layout: Path, content: bytes, media_type: Any) -> dict[str, Any]:
    """Store content by its digest; returns its descriptor."""
    digest = hashlib.sha256(content).hexdigest()
    path = layout / "blobs" / "sha256" / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}
