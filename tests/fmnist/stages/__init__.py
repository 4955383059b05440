"""The stages of the pipeline against real services, with the genuine clients, on a small and easy split."""
