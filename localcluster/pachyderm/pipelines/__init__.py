"""Running pipelines: from the datums of a job to its output commit."""
