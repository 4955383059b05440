"""How long users of the local Determined master wait: README.md has the numbers, measure.py the way."""
