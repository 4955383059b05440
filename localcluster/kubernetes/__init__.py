"""Kubernetes with Seldon Core v1 and an Istio ingress, for one machine.

Three parts, in two processes:

* `api/` + `state/`: the slice of the Kubernetes API that the genuine `kubectl` 1.32 needs, over HTTPS with a bearer
  token; objects live in SQLite (`home/kubernetes/state.sqlite`).
* `controller/`: Seldon's operator, the Deployment controller and the kubelet.  A SeldonDeployment whose predictors
  carry `seldon.io/no-engine: "true"` becomes Deployments, Services, a VirtualService and Pods; a Pod is an unpacked
  OCI image whose entrypoint runs as a detached process.  It knows nothing of models.
* `envoy/`: what Istio would make of the VirtualService, written as xDS files for the genuine Envoy (the ingress).

By hand, from the repository root (two terminals, or two background jobs)::

    export LOCALCLUSTER_HOME=/tmp/lc                        # optional; also LOCALCLUSTER_KUBERNETES_PORT, _INGRESS_PORT
    .venv/bin/python -m localcluster.kubernetes             # API and controller; prepares certificates and kubeconfig
    .venv/bin/python -m localcluster.kubernetes ingress     # Envoy
    export KUBECONFIG=$LOCALCLUSTER_HOME/kubernetes/kubeconfig
    $(.venv/bin/python -m localcluster.kubernetes.tools) get sdep,deploy,pods,svc,events

Images are read from the OCI layout `home/images`; logs of a container lie in `home/kubernetes/pods/<uid>/<container>/`.

Not served, on purpose: exec, attach, port-forward, top, server-side apply, RBAC, init containers.  Fields that cannot
act on one machine, as `resources` and `securityContext` (the processes share it and its user), are accepted; an Event
of the SeldonDeployment says which, and why.
"""
