"""The accuracy gate that GitLab CI runs against a registered model version, and its report."""
