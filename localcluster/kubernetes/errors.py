"""Every failure that this package tells a client or a user about, with the words of the real API server.

LocalClusterError
└── KubernetesError
    ├── ApiError                   answered as a `Status` object
    │   ├── BadRequest             400
    │   ├── Unauthorized           401
    │   ├── Forbidden              403
    │   ├── NotFound               404
    │   ├── NotServed              405  a call of the real API that this stand-in does not answer
    │   ├── AlreadyExists          409
    │   ├── Conflict               409
    │   ├── Expired                410  the watch history no longer reaches back that far
    │   ├── UnsupportedMediaType   415
    │   ├── Invalid                422  with one cause a field
    │   └── Unavailable            503  what a request was to be passed on to does not answer
    ├── ConfigError                a container that refers to something missing, or to something not served here
    └── ImageError                 an image reference that cannot be resolved, verified or unpacked
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from localcluster.errors import LocalClusterError


class KubernetesError(LocalClusterError):
    """Root of this package's errors."""


class ApiError(KubernetesError):
    """An answer other than success; `status()` is its body on the wire."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details

    def status(self) -> dict[str, Any]:
        """The `Status` object (meta/v1) that kubectl formats."""
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "code": self.code,
        }
        return body | ({"details": self.details} if self.details else {})


class BadRequest(ApiError):
    """The request cannot be understood."""

    code, reason = 400, "BadRequest"


class Unauthorized(ApiError):
    """No bearer token, or not the one in the kubeconfig."""

    code, reason = 401, "Unauthorized"

    def __init__(self) -> None:
        super().__init__("Unauthorized")


class Forbidden(ApiError):
    """Understood and refused."""

    code, reason = 403, "Forbidden"


class NotFound(ApiError):
    """No object of that name; without arguments: no such path."""

    code, reason = 404, "NotFound"

    def __init__(self, resource: str = "", name: str = "") -> None:
        if not resource:
            super().__init__("the server could not find the requested resource")
            return
        plural, _, group = resource.partition(".")
        super().__init__(f'{resource} "{name}" not found', name=name, group=group, kind=plural)


class NotServed(ApiError):
    """A call that the real API has and this stand-in does not."""

    code, reason = 405, "MethodNotAllowed"

    def __init__(self, call: str) -> None:
        super().__init__(f"{call} is not served by the local cluster; a real Kubernetes cluster has it")


class AlreadyExists(ApiError):
    """An object of that name is already there."""

    code, reason = 409, "AlreadyExists"

    def __init__(self, resource: str, name: str) -> None:
        super().__init__(f'{resource} "{name}" already exists', name=name, kind=resource.partition(".")[0])


class Conflict(ApiError):
    """The write was based on an older resourceVersion, or on another uid."""

    code, reason = 409, "Conflict"

    def __init__(self, resource: str, name: str) -> None:
        super().__init__(
            f'Operation cannot be fulfilled on {resource} "{name}": the object has been modified; '
            "please apply your changes to the latest version and try again",
            name=name,
            kind=resource.partition(".")[0],
        )


class Expired(ApiError):
    """The watch history no longer reaches back to that resourceVersion."""

    code, reason = 410, "Expired"


class UnsupportedMediaType(ApiError):
    """A body format that this path does not read."""

    code, reason = 415, "UnsupportedMediaType"


@dataclass(frozen=True)
class Cause:
    """One faulty field, e.g. `spec.predictors[0].replicas`, and what is wrong with it."""

    field: str
    message: str

    @classmethod
    def invalid(cls, field: str, value: object, text: str) -> Cause:
        """A cause in the form of apimachinery's field errors."""
        return cls(field, f'Invalid value: "{value}": {text}')


class Invalid(ApiError):
    """The object breaks a rule; `webhook` names the admission webhook that says so, if one does."""

    code, reason = 422, "Invalid"

    def __init__(self, kind: str, group: str, name: str, causes: list[Cause], webhook: str = "") -> None:
        texts = [f"{cause.field}: {cause.message}" for cause in causes]
        words = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        prefix = f'admission webhook "{webhook}" denied the request: ' if webhook else ""
        super().__init__(
            f'{prefix}{f"{kind}.{group}" if group else kind} "{name}" is invalid: {words}',
            name=name,
            group=group,
            kind=kind,
            causes=[{"reason": "FieldValueInvalid", "field": c.field, "message": c.message} for c in causes],
        )


class Unavailable(ApiError):
    """What a request was to be passed on to does not answer."""

    code, reason = 503, "ServiceUnavailable"


class ConfigError(KubernetesError):
    """A container cannot be set up: something it refers to is missing, or is not served by the local cluster."""


class ImageError(KubernetesError):
    """An image that cannot be resolved in the layout, verified against its digests, or unpacked."""
