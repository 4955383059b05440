"""The exception tree of this package.

ReleaseError
├── RegistryError    the registered version cannot be fetched, or is not in the serving format
├── LayoutError      the OCI image layout cannot be read or written
├── BuildError       an image cannot be built, or the container registry refuses it
├── ManifestError    the overlay cannot be rendered
├── DeployError      kubectl refused, or the new version did not become available
│   └── BrokenPod    a pod cannot start
├── PredictError     the test images cannot be read, or the ingress does not answer
└── ScanError        the scan for vulnerabilities cannot be run
"""

from __future__ import annotations


class ReleaseError(Exception):
    """Something the user can act on: what failed, where, and what to do next."""


class RegistryError(ReleaseError):
    """The registered version cannot be fetched, or is not in the serving format."""


class LayoutError(ReleaseError):
    """The OCI image layout cannot be read or written."""


class BuildError(ReleaseError):
    """An image cannot be built, or the container registry refuses it."""


class ManifestError(ReleaseError):
    """The overlay cannot be rendered."""


class DeployError(ReleaseError):
    """kubectl refused, or the new version did not become available."""


class BrokenPod(DeployError):
    """A pod cannot start; `final` where waiting does not help."""

    def __init__(self, message: str, *, final: bool) -> None:
        super().__init__(message)
        self.final = final


class PredictError(ReleaseError):
    """The test images cannot be read, or the ingress does not answer."""


class ScanError(ReleaseError):
    """The scan for vulnerabilities cannot be run."""
