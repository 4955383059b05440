"""Where Fashion-MNIST comes from: sources, checksums, and the ingest into the Pachyderm repos."""
