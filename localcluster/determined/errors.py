"""What the API refuses, with the gRPC code and HTTP status that Determined's gateway gives it."""

from __future__ import annotations

from typing import ClassVar


class ApiError(Exception):
    """An answer other than success; `str(error)` is the message that the client prints."""

    code: ClassVar[int]
    status: ClassVar[int]

    def body(self) -> dict[str, object]:
        """The gateway's JSON shape; the client prints `message` where there is one."""
        message = str(self)
        return {"message": message, "error": {"code": self.code, "error": message, "message": message}}


class InvalidArgument(ApiError):
    """The request or the configuration is wrong."""

    code, status = 3, 400


class NotFound(ApiError):
    """No such experiment, trial, checkpoint, model, user."""

    code, status = 5, 404


class AlreadyExists(ApiError):
    """The name is taken."""

    code, status = 6, 409


class PermissionDenied(ApiError):
    """Wrong password, or a token that does not reach this far."""

    code, status = 7, 403


class FailedPrecondition(ApiError):
    """Right in itself, but not in the present state."""

    code, status = 9, 400


class Internal(ApiError):
    """A defect of the master."""

    code, status = 13, 500


class Unimplemented(ApiError):
    """A call of the real master that is not served here."""

    code, status = 12, 501


class Unavailable(ApiError):
    """The master is shutting down."""

    code, status = 14, 503


class Unauthenticated(ApiError):
    """No token, or one that is unknown or expired."""

    code, status = 16, 401
