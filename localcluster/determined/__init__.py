"""The Determined master and agent for one machine: the REST API of Determined 0.38, trials as plain processes.

Rooms: `routes` (wire in and out, no state), `pages` (what people see in a browser), `state` (rules and SQLite storage,
never sees HTTP), `searcher` (pure: events in, actions out), `agent` (the process that owns one allocation and outlives
the master), and `master`, which lets them act together.
"""

VERSION = "0.38.1"
"""The version of Determined whose API is served; clients compare it with their own."""
