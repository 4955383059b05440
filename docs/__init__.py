"""What is too long for the README, and the programs that write the generated pages."""
