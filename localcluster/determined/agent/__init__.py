"""The agent: one process an allocation.  It runs the trial, keeps its output on disk and outlives the master.

Its directory (`<home>/determined/allocations/<allocation id>/`) is all that agent and master share:

    lock          held for as long as the agent lives (flock; the master starts it with the lock already taken)
    pid           the agent's process id
    logs.jsonl    the spool: one JSON object a line of output, appended before anyone is told
    exit.json     written whole when the trial's processes are gone: {"code": int}
    run/          what is /run/determined in a container;  work/  the trial's working directory

After writing to the spool the agent pokes the master, which reads on from the offset it stored with the last lines:
no line is lost or doubled, whoever is killed.  The standard library alone is imported, so an agent starts at once.
"""
