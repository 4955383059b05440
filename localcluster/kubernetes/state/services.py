"""Rules of Services, after their defaults have been written into them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from localcluster.kubernetes.errors import Cause
from localcluster.kubernetes.state import metadata, names
from localcluster.kubernetes.state.kinds import Object
from localcluster.kubernetes.state.workloads import PROTOCOLS, port_name_faults, port_number_faults

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"


def faults(item: Object, old: Object | None) -> Iterator[Cause]:
    """Everything wrong with a Service's spec."""
    spec = item["spec"]
    headless = spec.get("clusterIP") == "None"
    if old and old["spec"].get("clusterIP") != spec.get("clusterIP") and spec["type"] != "ExternalName":
        shown = f'[]string{{"{spec.get("clusterIP", "")}"}}'
        yield Cause("spec.clusterIPs[0]", f"Invalid value: {shown}: may not change once set")
    if not spec.get("ports") and not headless and spec["type"] != "ExternalName":
        yield Cause("spec.ports", "Required value")
    yield from _ports(spec.get("ports") or [])
    yield from metadata.labels("spec.selector", spec.get("selector"))
    if spec["sessionAffinity"] not in ("ClientIP", "None"):
        yield Cause.unsupported("spec.sessionAffinity", spec["sessionAffinity"], "ClientIP", "None")
    if not headless and spec.get("clusterIP") and not _is_address(spec["clusterIP"]):
        yield Cause.invalid("spec.clusterIPs[0]", spec["clusterIP"], _ADDRESS)
    if spec["type"] not in _TYPES:
        yield Cause.unsupported("spec.type", spec["type"], *_TYPES)


def _ports(ports: list[Object]) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        path, name = f"spec.ports[{index}]", port.get("name") or ""
        if name:
            yield from (Cause.invalid(f"{path}.name", name, fault) for fault in names.label(name))
            if name in seen:
                yield Cause(f"{path}.name", f'Duplicate value: "{name}"')
            seen.add(name)
        elif len(ports) > 1:
            yield Cause(f"{path}.name", "Required value")
        yield from port_number_faults(f"{path}.port", port.get("port") or 0)
        if port["protocol"] not in PROTOCOLS:
            yield Cause.unsupported(f"{path}.protocol", port["protocol"], *PROTOCOLS)
        target = port["targetPort"]
        check = port_number_faults if isinstance(target, int) else port_name_faults
        yield from check(f"{path}.targetPort", target)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
