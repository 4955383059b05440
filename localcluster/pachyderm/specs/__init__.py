"""What a pipeline specification says, and refusing one that says something else."""
