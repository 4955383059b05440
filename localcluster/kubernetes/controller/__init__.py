"""The loops that make the machine what the objects say: Seldon's operator, Deployments, the kubelet, clean-up."""
