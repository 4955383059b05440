"""The main job, `make demo`: every stage in order, with its time; the stages are the make targets of the README."""
