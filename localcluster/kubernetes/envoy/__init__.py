"""What Istio would make of a VirtualService: configuration of the genuine Envoy, as files (no state, no store)."""
