"""What was made from what: from the raw files to the last answer, and back (DESIGN.md, section 5)."""
