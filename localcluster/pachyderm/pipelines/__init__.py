"""Pipelines: what a specification says, and running what it asks for."""
