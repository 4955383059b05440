"""The pipeline: what its file says, and what it does when it runs."""
