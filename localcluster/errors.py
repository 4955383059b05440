"""The exception tree of the local cluster's own machinery (the platforms have trees of their own).

LocalClusterError
├── SettingsError          a variable or a file in the home directory has an unusable value
├── PortTaken              another process listens on a service's port
├── ServiceNotReady        a service did not become ready before its deadline
├── StateOfAnotherVersion  the home directory was written by a version of this project with other tables
└── ToolMissing            a genuine tool (Envoy, kubectl) is not installed in the environment
"""

from __future__ import annotations


class LocalClusterError(Exception):
    """Something the user can act on: what failed, where, and what to do next."""


class SettingsError(LocalClusterError):
    """A variable or a file in the home directory has an unusable value."""


class PortTaken(LocalClusterError):
    """Another process listens on a service's port."""


class ServiceNotReady(LocalClusterError):
    """A service did not become ready before its deadline."""


class StateOfAnotherVersion(LocalClusterError):
    """The home directory was written by a version of this project with other tables."""


class ToolMissing(LocalClusterError):
    """A genuine tool (Envoy, kubectl) is not installed in the environment."""
