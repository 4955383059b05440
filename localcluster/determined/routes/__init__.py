"""Wire in and out, one module a subject; no state.  `ROUTES` is the table of all served calls."""

from localcluster.determined.routes import auth, checkpoints, cluster, experiments, logs, models, tasks, trials

_SUBJECTS = (cluster, auth, experiments, trials, logs, checkpoints, models, tasks)
ROUTES = [route for subject in _SUBJECTS for route in subject.ROUTES]
