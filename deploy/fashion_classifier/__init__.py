"""What the Seldon wrapper class consists of; imports nothing that the serving environment does not have."""
