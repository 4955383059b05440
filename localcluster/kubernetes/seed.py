"""What every cluster has before anyone applies anything: namespaces, and the ingress gateway's Service."""

from __future__ import annotations

from localcluster.kubernetes.state.deletion import PROTECTED
from localcluster.kubernetes.state.kinds import NAMESPACE, SERVICE, Object
from localcluster.kubernetes.state.store import Store
from localcluster.settings import HOST

GATEWAY = "istio-ingressgateway"


def seed(store: Store, ingress_port: int) -> None:
    """Create what is missing and bring the gateway's port up to date."""
    for name in PROTECTED:
        if store.find(NAMESPACE, "", name) is None:
            store.create(NAMESPACE, {"metadata": {"name": name}})
    namespace = "istio-system"
    spec = {
        "type": "LoadBalancer",
        "clusterIP": HOST,
        "ports": [{"name": "http2", "port": ingress_port, "targetPort": ingress_port, "protocol": "TCP"}],
        "selector": {"istio": "ingressgateway"},
    }
    metadata: Object = {"name": GATEWAY, "namespace": namespace, "labels": {"istio": "ingressgateway"}}
    if store.find(SERVICE, namespace, GATEWAY) is None:
        store.create(SERVICE, {"metadata": metadata, "spec": spec})
    service = store.update(SERVICE, namespace, GATEWAY, lambda old: old | {"spec": spec})
    store.set_status(SERVICE, service, {"loadBalancer": {"ingress": [{"ip": HOST}]}})
