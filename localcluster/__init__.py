"""Single-machine stand-ins for Determined, Pachyderm and Kubernetes with Seldon Core and Istio.

Each platform is a package with the same rooms (wire, state, errors) and a `service` module that tells the
supervisor what to start.  The platforms never import each other; what they share lies in this package's
top-level modules.  Nothing outside `localcluster` imports it: the product knows only the platforms' own clients.
"""
