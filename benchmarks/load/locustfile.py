"""What a user of the classifier does: `locust -f benchmarks/load/locustfile.py --host http://127.0.0.1:8003`.

Most send one image, some a batch, some a mistake; an answer that is not the right kind counts as a failure.  Locust's
page (http://127.0.0.1:8089) shows it live; `python -m benchmarks.load.measure` runs it without one.  PREFIX is the
path below which the deployment answers.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from locust import FastHttpUser, constant, task

PREFIX = os.environ.get("PREFIX", "/seldon/default/fashion-classifier")
EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "fashion_classifier" / "example.json"
BATCH = 20
VALUES: list[int] = json.loads(EXAMPLE.read_text())["data"]["tensor"]["values"]


def message(count: int) -> dict[str, Any]:
    """`count` images, one and the same, as a Seldon JSON tensor."""
    return {"data": {"tensor": {"shape": [count, 28, 28], "values": VALUES * count}}}


class Visitor(FastHttpUser):
    """Asks again as soon as it has an answer, so that the number of users is the number of requests in progress."""

    wait_time = constant(0)

    @task(8)
    def one_image(self) -> None:
        """The usual request."""
        self._predict("one image", message(1), 200)

    @task(1)
    def a_batch(self) -> None:
        """Several images in a request."""
        self._predict(f"{BATCH} images", message(BATCH), 200)

    @task(1)
    def a_mistake(self) -> None:
        """A shape that does not fit its values is refused with 400."""
        self._predict("a mistake", {"data": {"tensor": {"shape": [28, 28], "values": VALUES[1:]}}}, 400)

    def _predict(self, name: str, body: dict[str, Any], status: int) -> None:
        path = f"{PREFIX}/api/v1.0/predictions"
        with self.client.post(path, json=body, name=name, catch_response=True) as response:
            if response.status_code != status:
                response.failure(f"{response.status_code} in place of {status}: {response.text[:200]}")
            elif status == 200 and not self._is_right(response.json(), body["data"]["tensor"]["shape"][0]):
                response.failure(f"another answer: {response.text[:200]}")
            else:
                response.success()

    def _is_right(self, answer: dict[str, Any], count: int) -> bool:
        """All rows say the same, as all images are one, and one class stands out."""
        data = answer["data"]
        classes = len(data["names"])
        rows = [data["tensor"]["values"][start : start + classes] for start in range(0, count * classes, classes)]
        return len(rows) == count and all(
            max(abs(a - b) for a, b in zip(rows[0], row, strict=True)) < 1e-5 for row in rows
        )
