"""How fast the Seldon wrapper serves, beside the peers."""
