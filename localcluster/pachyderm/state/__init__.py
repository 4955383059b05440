"""The rules of PFS and their storage: one module a noun, functions that take an open transaction first."""
