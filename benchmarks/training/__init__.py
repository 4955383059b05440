"""How well and how fast const.yaml trains, where the time goes, what each choice is worth: see README.md."""
