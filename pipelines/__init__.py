"""The project's Pachyderm pipelines: code that runs once a datum, and the specs that say when.

A spec (`<name>.json`) runs `python3 -m pipelines.<name>` with the inputs below `/pfs`; nothing here knows which pachd
calls it.  An image for a cluster (`Dockerfile`) holds Python 3.11, the lock `requirements/pipelines.txt`, and the
packages `data` and `pipelines` with their templates and profiles, installed or on PYTHONPATH; `python3` must be that
interpreter, since a spec's command is looked up on the PATH.  On one machine the same packages are installed, editable,
in `.venv`.  Only `python -m pipelines`, which deploys the specs from a checkout, needs pachyderm-sdk and rich as well.
"""
