"""A Pod's own port through the API server: `.../pods/{name}:{port}/proxy/{path}`, as `kubectl proxy` reaches it."""

from __future__ import annotations

import requests
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from localcluster.kubernetes.controller.pods import pod_ports
from localcluster.kubernetes.errors import BadRequest, NotServed, Unavailable
from localcluster.kubernetes.state.kinds import POD, Object
from localcluster.kubernetes.state.store import Store
from localcluster.settings import HOST

METHODS = ["GET", "POST"]
PATH = "/api/v1/namespaces/{namespace}/pods/{pod}/proxy/{path:path}"
_PASSED_ON = ("content-type", "accept")
_TIMEOUT_SECONDS = 60.0


async def forward(store: Store, request: Request) -> Response:
    """The answer of the Pod; raises NotFound, BadRequest, NotServed, or Unavailable where nothing answers there."""
    name, _, port = request.path_params["pod"].partition(":")
    pod = await run_in_threadpool(store.get, POD, request.path_params["namespace"], name)
    url = f"http://{HOST}:{_listening(pod, port)}/{request.path_params['path']}"
    headers = {key: value for key, value in request.headers.items() if key in _PASSED_ON}
    body, query = await request.body(), request.url.query

    def send() -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            address = f"{url}?{query}" if query else url
            return session.request(
                request.method, address, data=body, headers=headers, timeout=_TIMEOUT_SECONDS, allow_redirects=False
            )

    try:
        answer = await run_in_threadpool(send)
    except requests.RequestException as error:
        raise Unavailable(f"error trying to reach service: {error}") from error
    # A redirection is the client's to follow: the server would reach what the client may not.
    headers = {"location": answer.headers["location"]} if "location" in answer.headers else {}
    return Response(answer.content, answer.status_code, headers, answer.headers.get("content-type"))


def _listening(pod: Object, port: str) -> int:
    """The port really listened on for a container port (empty: the first one)."""
    declared = [each for container in pod["spec"]["containers"] for each in container.get("ports") or []]
    if port and not port.isdecimal():
        raise NotServed(f"a port's name in pods/proxy ({port}); give its number")
    wanted = port or (str(declared[0]["containerPort"]) if declared else "80")
    ports = pod_ports(pod)
    if wanted not in ports:
        raise BadRequest(f"pod {pod['metadata']['name']} listens on the ports {', '.join(sorted(ports))}, not {wanted}")
    return ports[wanted]
