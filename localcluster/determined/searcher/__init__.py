"""Search methods as pure state machines: events in, actions out; no clock, no storage, no global randomness.

A `Search` (search.py) is made from the `searcher` and `hyperparameters` of a configuration.  The master feeds it
events and carries out the actions; `Search.snapshot` is JSON, stored in the same transaction as the actions'
effects, so a killed master continues with the very search it had.
"""

from localcluster.determined.searcher.actions import Action, Create, Exit, Shutdown, Stop
from localcluster.determined.searcher.search import Search

__all__ = ["Action", "Create", "Exit", "Search", "Shutdown", "Stop"]
