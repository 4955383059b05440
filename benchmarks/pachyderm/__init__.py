"""How fast files go in and out of the local pachd."""
