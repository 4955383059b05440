"""What the API refuses, with the gRPC code and HTTP status that Determined's gateway gives it."""

from __future__ import annotations

from typing import ClassVar


class ApiError(Exception):
    """An answer other than success; `str(error)` is the message that the client prints."""

    code: ClassVar[int]
    status: ClassVar[int]

    def __init_subclass__(cls, *, code: int, status: int) -> None:
        cls.code, cls.status = code, status

    def body(self) -> dict[str, object]:
        """The gateway's JSON shape; the client prints `message` where there is one."""
        message = str(self)
        return {"message": message, "error": {"code": self.code, "error": message, "message": message}}


class InvalidArgument(ApiError, code=3, status=400):
    """The request or the configuration is wrong."""


class NotFound(ApiError, code=5, status=404):
    """No such experiment, trial, checkpoint, model, user."""


class AlreadyExists(ApiError, code=6, status=409):
    """The name is taken."""


class PermissionDenied(ApiError, code=7, status=403):
    """Wrong password, or a token that does not reach this far."""


class FailedPrecondition(ApiError, code=9, status=400):
    """Right in itself, but not in the present state."""


class Internal(ApiError, code=13, status=500):
    """A defect of the master."""


class Unimplemented(ApiError, code=12, status=501):
    """A call of the real master that is not served here."""


class Unavailable(ApiError, code=14, status=503):
    """The master is shutting down."""


class Unauthenticated(ApiError, code=16, status=401):
    """No token, or one that is unknown or expired."""
