"""What the supervisor needs to know of a service; each platform's `service` module describes its own.

A platform package `localcluster.<platform>` has a module `service` with three functions:

* `prepare(settings)`: create directories, credentials and configuration; safe to call again at any time;
* `services(settings) -> list[Service]`: the processes to keep running, in starting order;
* `client_environment(settings) -> dict[str, str]`: the variables by which the genuine client finds the service
  (writing the client's configuration file where it wants one).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Service:
    """One long-running process.

    `ready` is called until it returns True (it must not raise and must return within about two seconds);
    `port_variable` names the variable by which a user moves `port`.
    """

    name: str
    title: str
    argv: tuple[str, ...]
    address: str
    port: int
    port_variable: str
    ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
