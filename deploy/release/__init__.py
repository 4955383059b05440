"""From a registered model version to a serving deployment: image, manifest, rollout, first predictions.

Runs in the working environment, and knows Determined, Kubernetes and Pachyderm by their own clients only.
"""
