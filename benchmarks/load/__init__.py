"""Many users of the served model at once, by Locust: what they wait for, and whether every answer is right."""
