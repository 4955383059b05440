"""Objects, their rules and their storage; nothing here sees HTTP."""
