"""Projects and the repos in them."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass, replace

from localcluster.pachyderm.clock import now
from localcluster.pachyderm.errors import (
    AlreadyExists,
    BranchInUse,
    NotFound,
    PachdError,
    ProjectInUse,
    ProjectNotFound,
    during,
)
from localcluster.pachyderm.names import LONGEST_PROJECT_NAME, META, SPEC, USER, RepoName, check_name
from localcluster.pachyderm.state.database import Transaction


@dataclass(frozen=True)
class Project:
    """A namespace of repos; `created` in microseconds since 1970."""

    name: str
    description: str
    created: int


@dataclass(frozen=True)
class Repo:
    """A repo; `size` is that of the finished head of its branch master, in bytes."""

    number: int
    name: RepoName
    description: str
    created: int
    size: int


def check_project_name(name: str) -> None:
    """Raise PachdError unless `name` is fit for a project."""
    with during("invalid project name"):
        check_name(name)
        if not name[0].isalnum():
            raise PachdError("project names must start with an alphanumeric character")
        if (over := len(name) - LONGEST_PROJECT_NAME) > 0:
            raise PachdError(f'project name "{name}" is {over} characters longer than the {LONGEST_PROJECT_NAME} max')


def create_project(tx: Transaction, name: str, description: str, *, update: bool = False) -> None:
    """Make a project, or with `update` change its description."""
    if update:
        with during(f"get project {name}"):
            get_project(tx, name)
        tx.execute("UPDATE projects SET description=? WHERE name=?", (description, name))
        return
    try:
        tx.execute("INSERT INTO projects VALUES (?, ?, ?)", (name, description, now()))
    except sqlite3.IntegrityError:
        raise AlreadyExists(f'project "{name}" already exists\nproject {name} already exists') from None


def get_project(tx: Transaction, name: str) -> Project:
    """Raises ProjectNotFound."""
    with during("get project by name"):
        return find_project(tx, name)


def find_project(tx: Transaction, name: str) -> Project:
    """As `get_project`, in fewer words."""
    row = tx.execute("SELECT name, description, created FROM projects WHERE name=?", (name,)).fetchone()
    if row is None:
        raise ProjectNotFound(name)
    return Project(*row)


def list_projects(tx: Transaction) -> list[Project]:
    """All projects, by name."""
    return [Project(*row) for row in tx.execute("SELECT name, description, created FROM projects ORDER BY name")]


def delete_project(tx: Transaction, name: str, *, force: bool = False) -> None:
    """Remove an empty project, or with `force` its repos as well."""
    with during(f'delete project "{name}"'):
        find_project(tx, name)
    repos = list_repos(tx, projects=[name])
    if repos and not force:
        raise ProjectInUse(name, [repo.name for repo in repos])
    for repo in repos:
        delete(tx, repo.name, force=True)
    tx.execute("DELETE FROM projects WHERE name=?", (name,))


def create(tx: Transaction, name: RepoName, description: str = "", *, update: bool = False) -> Repo:
    """Make a repo, or with `update` change the description of one that exists."""
    check_name(name.name)
    with during(f'cannot find project "{name.project}"'):
        get_project(tx, name.project)
    existing = find(tx, name)
    if name.type not in (USER, SPEC, META):
        raise PachdError(f'error checking whether repo "{name}" exists: there is no repo type "{name.type}"')
    if not existing and name.type != USER and find(tx, user := replace(name, type=USER)) is None:
        raise NotFound(f"cannot create a system repo without a corresponding 'user' repo: {user.row} not found")
    if existing and not update:
        raise AlreadyExists(f"repo {name} already exists")
    tx.execute(
        "INSERT INTO repos (project, name, type, description, created) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (project, name, type) DO UPDATE SET description=excluded.description",
        (name.project, name.name, name.type, description, now()),
    )
    return get(tx, name)


_SELECT = """
SELECT r.number, r.project, r.name, r.type, r.description, r.created, coalesce(c.size, 0)
FROM repos r LEFT JOIN branches b ON b.repo = r.number AND b.name = 'master' LEFT JOIN commits c ON c.number = b.head
"""


def _repo(row: sqlite3.Row) -> Repo:
    number, project, name, kind, description, created, size = row
    return Repo(number, RepoName(project, name, kind), description, created, size)


def find(tx: Transaction, name: RepoName) -> Repo | None:
    """The repo, or None."""
    key = (name.project, name.name, name.type)
    row = tx.execute(_SELECT + "WHERE r.project=? AND r.name=? AND r.type=?", key).fetchone()
    return None if row is None else _repo(row)


def get(tx: Transaction, name: RepoName) -> Repo:
    """Raises NotFound."""
    repo = find(tx, name)
    if repo is None:
        raise NotFound(f"repo {name} not found")
    return repo


def list_repos(tx: Transaction, projects: Collection[str] = (), kind: str = "") -> list[Repo]:
    """The repos of a type ("" for any) in some projects (none named: all), by project and name."""
    repos = [_repo(row) for row in tx.execute(_SELECT + "ORDER BY r.project, r.name, r.number")]
    return [r for r in repos if kind in ("", r.name.type) and (not projects or r.name.project in projects)]


def delete(tx: Transaction, name: RepoName, *, force: bool = False) -> bool:
    """Remove a repo with all its branches and commits (and a pipeline's own repos with it); False if it is not there.

    Raises PachdError where it belongs to a pipeline, and, unless `force`, where a branch elsewhere has one of its
    branches in its provenance.
    """
    if find(tx, name) is None:
        return False
    if tx.execute("SELECT 1 FROM pipelines WHERE project=? AND name=?", (name.project, name.name)).fetchone():
        with during(f'error checking whether repo "{name}" can be deleted'):
            raise PachdError("cannot delete a repo associated with a pipeline - delete the pipeline instead")
    doomed = "SELECT number FROM repos WHERE project=? AND name=? AND (type=? OR ?='user')"
    key = (name.project, name.name, name.type, name.type)
    used = tx.execute(
        "SELECT u.name, group_concat(r.project || '/' || r.name || iif(r.type = 'user', '', '.' || r.type) || '@'"  # noqa: S608
        " || d.name, ' ') FROM branch_provenance p"
        " JOIN branches u ON u.number = p.upstream JOIN branches d ON d.number = p.branch"
        f" JOIN repos r ON r.number = d.repo WHERE u.repo IN ({doomed}) AND d.repo NOT IN ({doomed}) GROUP BY u.number",
        (*key, *key),
    ).fetchone()
    if used and not force:
        with during(f"delete branch {name}@{used[0]}"):
            raise BranchInUse(f"{name}@{used[0]}", used[1])
    for table in ("branches", "commits"):
        tx.execute(f"DELETE FROM {table} WHERE repo IN ({doomed})", key)  # noqa: S608
    tx.execute(f"DELETE FROM repos WHERE number IN ({doomed})", key)  # noqa: S608
    return True
