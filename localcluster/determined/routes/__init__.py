"""Wire in and out, one module a subject; no state.  `ROUTES` is the table of all served calls."""

from localcluster.determined.routes import auth, checkpoints, cluster, experiments, logs, models, tasks, trials

ROUTES = [
    *cluster.ROUTES,
    *auth.ROUTES,
    *experiments.ROUTES,
    *trials.ROUTES,
    *logs.ROUTES,
    *checkpoints.ROUTES,
    *models.ROUTES,
    *tasks.ROUTES,
]
