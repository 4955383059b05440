"""How well the served model tells what is no clothing: digits, letters, photographs, noise beside the test set."""
