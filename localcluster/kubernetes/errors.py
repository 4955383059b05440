"""Every failure that this package tells a client or a user about, with the words of the real API server.

LocalClusterError
└── KubernetesError
    ├── ApiError                   answered as a `Status` object
    │   ├── BadRequest             400
    │   ├── Unauthorized           401
    │   ├── Forbidden              403
    │   ├── NotFound               404
    │   ├── NotServed              405  a call of the real API that this stand-in does not answer
    │   ├── NotAllowed             405
    │   ├── NotAcceptable          406
    │   ├── AlreadyExists          409
    │   ├── Conflict               409
    │   ├── Expired                410  the watch history no longer reaches back that far
    │   ├── TooLarge               413
    │   ├── UnsupportedMediaType   415
    │   │   └── Unread             415  a patch's format
    │   ├── Unexplained            500  a mistake for which the real server has no better answer
    │   ├── Invalid                422  with one cause a field
    │   └── Unavailable            503  what a request was to be passed on to does not answer
    ├── ConfigError                a container that refers to something missing, or to something not served here
    └── ImageError                 an image reference that cannot be resolved, verified or unpacked
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from localcluster.errors import LocalClusterError

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
_REASONS = {
    "Required value": "FieldValueRequired",
    "Duplicate value": "FieldValueDuplicate",
    "Unsupported value": "FieldValueNotSupported",
    "Forbidden": "FieldValueForbidden",
    "Not found": "FieldValueNotFound",
    "Too long": "FieldValueTooLong",
}
"""What a cause's message begins with, and its reason; all others are FieldValueInvalid."""


class KubernetesError(LocalClusterError):
    """Root of this package's errors."""


class ApiError(KubernetesError):
    """An answer other than success; `status()` is its body on the wire."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"
    details_if_empty: ClassVar[bool] = False
    """Whether the real server shows details even where there is nothing to say in them."""

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
        return body | ({"details": self.details} if self.details or self.details_if_empty else {})


def named(resource: str, name: str = "") -> dict[str, str]:
    """The details that say which object it was; `resource` as in messages, e.g. `deployments.apps`."""
    plural, _, group = resource.partition(".")
    return {key: value for key, value in (("name", name), ("group", group), ("kind", plural)) if value}


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
    details_if_empty = True

    def __init__(self, resource: str = "", name: str = "") -> None:
        if resource:
            super().__init__(f'{resource} "{name}" not found', **named(resource, name))
        else:
            super().__init__("the server could not find the requested resource")


class NotServed(ApiError):
    """A call that the real API has and this stand-in does not."""

    code, reason = 405, "MethodNotAllowed"

    def __init__(self, call: str) -> None:
        super().__init__(f"{call} is not served by the local cluster; a real Kubernetes cluster has it")


class NotAllowed(ApiError):
    """A method that this path has nowhere."""

    code, reason = 405, "MethodNotAllowed"
    details_if_empty = True

    def __init__(self) -> None:
        super().__init__("the server does not allow this method on the requested resource")


class NotAcceptable(ApiError):
    """A client that takes none of the forms in which the answer could be given."""

    code, reason = 406, "NotAcceptable"
    details_if_empty = True

    def __init__(self, *served: str) -> None:
        super().__init__(f"406: Not Acceptable\n\nAvailable representations: {', '.join(served)}")


class AlreadyExists(ApiError):
    """An object of that name is already there."""

    code, reason = 409, "AlreadyExists"

    def __init__(self, resource: str, name: str) -> None:
        super().__init__(f'{resource} "{name}" already exists', **named(resource, name))


class Conflict(ApiError):
    """The write was based on an older resourceVersion, or on another uid."""

    code, reason = 409, "Conflict"

    def __init__(self, resource: str, name: str, why: str = MODIFIED) -> None:
        super().__init__(f'Operation cannot be fulfilled on {resource} "{name}": {why}', **named(resource, name))


class Expired(ApiError):
    """The watch history no longer reaches back to that resourceVersion."""

    code, reason = 410, "Expired"


class TooLarge(ApiError):
    """A body, or a list of operations, beyond what the API server takes."""

    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    """A body format that this path does not read."""

    code, reason = 415, "UnsupportedMediaType"

    @classmethod
    def of(cls, served: Iterable[str]) -> UnsupportedMediaType:
        """The refusal that names the formats which would be read."""
        return cls(
            f"the body of the request was in an unknown format - accepted media types include: {', '.join(served)}"
        )


class Unread(UnsupportedMediaType):
    """A patch in a format that the API server does not know."""

    details_if_empty = True

    def __init__(self) -> None:
        super().__init__("415: Unsupported Media Type")


class Unexplained(ApiError):
    """A mistake that the API server answers with 500 and no reason, as if it were its own."""

    def status(self) -> dict[str, Any]:
        """Without a reason."""
        return {key: value for key, value in super().status().items() if key != "reason"}


@dataclass(frozen=True)
class Cause:
    """One faulty field, e.g. `spec.predictors[0].replicas`, and what is wrong with it."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"

    @property
    def reason(self) -> str:
        """What is wrong, in one of the API's words."""
        if " in body must be of type " in self.message:
            return "FieldValueTypeInvalid"
        return _REASONS.get(self.message.partition(":")[0], "FieldValueInvalid")

    @classmethod
    def invalid(cls, field: str, value: object, text: str) -> Cause:
        """A value that breaks a rule."""
        return cls(field, f"Invalid value: {_shown(value)}: {text}")

    @classmethod
    def unsupported(cls, field: str, value: str, *allowed: str) -> Cause:
        """A value other than the few that there are."""
        choices = ", ".join(f'"{each}"' for each in allowed)
        return cls(field, f'Unsupported value: "{value}": supported values: {choices}')


def _shown(value: object) -> str:
    """As the API server shows a value: numbers bare, texts quoted, labels as it holds them."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        pairs = ", ".join(f"{json.dumps(key)}:{json.dumps(value[key])}" for key in sorted(value))
        return f"map[string]string{{{pairs}}}" if pairs else "map[string]string(nil)"
    if value is None:
        return "null"
    return str(value) if isinstance(value, int | float) else json.dumps(str(value), ensure_ascii=False)


class Invalid(ApiError):
    """The object breaks a rule; `webhook` names the admission webhook that says so, if one does."""

    code, reason = 422, "Invalid"

    def __init__(self, kind: str, group: str, name: str, causes: list[Cause], webhook: str = "") -> None:
        texts = list(dict.fromkeys(map(str, causes)))
        words = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        prefix = f'admission webhook "{webhook}" denied the request: ' if webhook else ""
        qualified = f"{kind}.{group}" if group else kind
        details: dict[str, Any] = {"name": name, "group": group, "kind": kind}
        details = {key: value for key, value in details.items() if value}
        details["causes"] = [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]
        super().__init__(f'{prefix}{qualified} "{name}" is invalid: {words}', **details)


class Rejected(ApiError):
    """A patch that does not fit the object; the API server does not say where."""

    code, reason = 422, "Invalid"
    details_if_empty = True

    def __init__(self) -> None:
        super().__init__("the server rejected our request due to an error in our request")


class TooNew(ApiError):
    """A resourceVersion that has not been given out yet."""

    code, reason = 504, "Timeout"

    def __init__(self, version: int, current: int) -> None:
        cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
        message = f"Timeout: Too large resource version: {version}, current: {current}"
        super().__init__(message, causes=[cause], retryAfterSeconds=1)


class Unavailable(ApiError):
    """What a request was to be passed on to does not answer."""

    code, reason = 503, "ServiceUnavailable"


class ConfigError(KubernetesError):
    """A container cannot be set up: something it refers to is missing, or is not served by the local cluster."""


class ImageError(KubernetesError):
    """An image that cannot be resolved in the layout, verified against its digests, or unpacked."""
