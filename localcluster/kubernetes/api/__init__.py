"""The wire: Kubernetes API requests in, JSON out; no state of its own."""
