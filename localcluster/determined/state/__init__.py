"""The rules and storage of the master: one SQLite database (WAL, synchronous=FULL), one module a noun.

Nothing here sees HTTP.  Every function takes the `Database`; what one call of the API changes is one transaction, so
a killed master has either all of it or nothing.
"""
