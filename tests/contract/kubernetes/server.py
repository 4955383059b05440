"""An API server as its users reach it: through the genuine kubectl, and request by request."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

JSON = "application/json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Answer:
    """One answer: its status, its body (parsed where it is JSON), and its Warning headers."""

    status: int
    body: Any
    warnings: list[str]
    content_type: str


class Server:
    """The server that a kubeconfig with a token names."""

    def __init__(self, kubeconfig: Path, kubectl: Path, home: Path) -> None:
        self._kubeconfig, self._kubectl, self._home = kubeconfig, kubectl, home
        content = yaml.safe_load(kubeconfig.read_text())
        cluster = content["clusters"][0]["cluster"]
        self.token = content["users"][0]["user"]["token"]
        self._address = urlsplit(cluster["server"]).netloc
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)

    @property
    def kubeconfig(self) -> Path:
        """The file that KUBECONFIG names."""
        return self._kubeconfig

    def kubectl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl; its exit status is the caller's to look at."""
        command = [str(self._kubectl), *arguments]
        return subprocess.run(command, input=stdin, env=self._environment, capture_output=True, text=True, timeout=120)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start kubectl, whose output is the caller's to read."""
        return subprocess.Popen(
            [str(self._kubectl), *arguments], env=self._environment, stdout=subprocess.PIPE, text=True
        )

    @property
    def _environment(self) -> dict[str, str]:
        return os.environ | {"KUBECONFIG": str(self._kubeconfig), "HOME": str(self._home)}

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str | None = JSON,
        accept: str = JSON,
        token: str | None = None,
    ) -> Answer:
        """One request; a body that is no text is sent as JSON, an empty token as none."""
        headers: dict[str, str] = {"Accept": accept}
        token = self.token if token is None else token
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None and content_type:
            headers["Content-Type"] = content_type
        data = body if body is None or isinstance(body, str) else json.dumps(body)
        connection = HTTPSConnection(self._address, context=self._context, timeout=60)
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            warnings = answer.msg.get_all("Warning") or []
            content = answer.headers.get("Content-Type", "")
            return Answer(answer.status, _parsed(text), warnings, content)
        finally:
            connection.close()


class Namespace:
    """A namespace of a test's own, and short ways to write into it."""

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.name = server, name

    def path(self, resource: str, rest: str = "") -> str:
        """The path of a resource's collection, plus `rest`; the resource may name its group: `deployments.apps`."""
        plural, _, group = resource.partition(".")
        version = f"/apis/{group}/v1" if group else "/api/v1"
        return f"{version}/namespaces/{self.name}/{plural}{rest}"

    def kubectl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl in this namespace."""
        return self.server.kubectl("-n", self.name, *arguments, stdin=stdin)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start kubectl in this namespace."""
        return self.server.start("-n", self.name, *arguments)

    def apply(self, item: Mapping[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
        """kubectl apply of one object."""
        return self.kubectl("apply", "-f", "-", *arguments, stdin=json.dumps(item))

    def post(self, resource: str, item: Any, query: str = "") -> Answer:
        """Create an object."""
        return self.server.ask("POST", self.path(resource, query), item)

    def get(self, resource: str, rest: str = "") -> Answer:
        """Read an object (`/name`) or a list."""
        return self.server.ask("GET", self.path(resource, rest))

    def patch(self, resource: str, name: str, change: Any, content_type: str = MERGE) -> Answer:
        """Patch an object."""
        return self.server.ask("PATCH", self.path(resource, f"/{name}"), change, content_type)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def failure(message: str, reason: str, code: int, **details: Any) -> dict[str, Any]:
    """The whole Status object of a refusal."""
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    body |= {"message": message, "reason": reason, "code": code}  # type: ignore[dict-item]
    return body | ({"details": details} if details else {})
