"""The exception tree of the served model.

ServingError
├── BadInput      the client's mistake: answered with 400 and Seldon's `status` object
├── SpoolError    feedback cannot be stored now: answered with 503; predictions go on
└── ModelError    the model folder cannot be served: the worker refuses to start
"""

from __future__ import annotations

from typing import Any

BAD_DATA = "MICROSERVICE_BAD_DATA"


class ServingError(Exception):
    """What failed, where, and what to do next."""


class BadInput(ServingError):
    """The client's mistake: what is wrong with the request and what to send instead."""


class ModelError(ServingError):
    """The model folder is incomplete, damaged, or of another format."""


class SpoolError(ServingError):
    """Feedback cannot be stored at the moment; it may be sent again later."""


def status(message: str, reason: str = BAD_DATA) -> dict[str, Any]:
    """Seldon's error body, as `SeldonMicroserviceException.to_dict` writes it."""
    return {"status": {"status": 1, "info": message, "code": -1, "reason": reason}}
