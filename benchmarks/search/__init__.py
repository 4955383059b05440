"""What the search of adaptive.yaml found and what stopping early saved: README.md has it, measure.py the way."""
