"""Training: `src/` is what Determined runs; the programs here submit it and register what comes out."""
