"""Calls on projects, repos and branches."""

from __future__ import annotations

from collections.abc import Iterator

from betterproto.lib.google.protobuf import Empty
from pachyderm_sdk.api import pfs

from localcluster.pachyderm.errors import BranchNotFound, InvalidArgument, NotFound, PachdError, Unimplemented, during
from localcluster.pachyderm.names import DEFAULT_PROJECT
from localcluster.pachyderm.servicer import wire
from localcluster.pachyderm.servicer.session import Session
from localcluster.pachyderm.servicer.validation import given
from localcluster.pachyderm.state import branches, commits, repos


def create_project(request: pfs.CreateProjectRequest, session: Session) -> Empty:
    with session.write() as tx:
        repos.create_project(tx, _named(request), request.description, update=request.update)
    return Empty()


def _named(request: pfs.CreateProjectRequest | pfs.DeleteProjectRequest) -> str:
    if not given(request, "project"):
        raise PachdError("invalid project name: nil project")
    repos.check_project_name(request.project.name)
    return str(request.project.name)


def inspect_project(request: pfs.InspectProjectRequest, session: Session) -> pfs.ProjectInfo:
    with session.read() as tx:
        name = request.project.name or DEFAULT_PROJECT
        with during(f'error getting project "{name}"'):
            return wire.project_message(repos.get_project(tx, name))


def inspect_project_v2(request: pfs.InspectProjectV2Request, session: Session) -> pfs.InspectProjectV2Response:
    with during(f'could not inspect project "{request.project.name}"'):
        return pfs.InspectProjectV2Response(info=inspect_project(request, session), defaults_json="{}")


def list_project(_request: pfs.ListProjectRequest, session: Session) -> Iterator[pfs.ProjectInfo]:
    with session.read() as tx:
        found = repos.list_projects(tx)
    yield from map(wire.project_message, found)


def delete_project(request: pfs.DeleteProjectRequest, session: Session) -> Empty:
    with session.write() as tx:
        repos.delete_project(tx, _named(request), force=request.force)
    return Empty()


def create_repo(request: pfs.CreateRepoRequest, session: Session) -> Empty:
    with session.write() as tx:
        repos.create(tx, wire.repo_name(request), request.description, update=request.update)
    return Empty()


def inspect_repo(request: pfs.InspectRepoRequest, session: Session) -> pfs.RepoInfo:
    with session.read() as tx:
        return wire.repo_info(tx, repos.get(tx, wire.repo_name(request)))


def list_repo(request: pfs.ListRepoRequest, session: Session) -> Iterator[pfs.RepoInfo]:
    with session.read() as tx:
        found = repos.list_repos(tx, wire.project_names(request.projects), request.type)
        if size := request.page.page_size:
            found = found[request.page.page_index * size :][:size]
        infos = [wire.listed_repo_info(tx, repo) for repo in found]
    yield from infos


def delete_repo(request: pfs.DeleteRepoRequest, session: Session) -> pfs.DeleteRepoResponse:
    if not given(request, "repo"):
        raise InvalidArgument("no repo specified")
    with session.write() as tx, during("delete repo"):
        deleted = repos.delete(tx, wire.repo_name(request), force=request.force)
    return pfs.DeleteRepoResponse(deleted=deleted)


def delete_repos(request: pfs.DeleteReposRequest, session: Session) -> pfs.DeleteReposResponse:
    projects = wire.project_names(request.projects)
    with session.write() as tx, during("delete repos"):
        doomed = [repo.name for repo in repos.list_repos(tx, projects) if request.all or projects]
        deleted = [name for name in doomed if repos.delete(tx, name, force=request.force)]
    return pfs.DeleteReposResponse(repos=[wire.repo_message(name) for name in deleted])


def create_branch(request: pfs.CreateBranchRequest, session: Session) -> Empty:
    if request.trigger:
        raise Unimplemented("pfs_v2.API/CreateBranch: branch triggers are not served by this pachd")
    repo, name = wire.branch_name(request)
    upstream = [wire.branch_of(branch) for branch in request.provenance]
    named = wire.optional_commit_name(request, "head")
    if named and named.repo.name != repo.name:
        raise PachdError("branch and head commit must belong to the same repo")
    with session.write() as tx:
        with during(f"unable to inspect {named}"):
            head = commits.resolve(tx, named) if named else None
        branches.create(tx, repo, name, head, upstream)
    return Empty()


def inspect_branch(request: pfs.InspectBranchRequest, session: Session) -> pfs.BranchInfo:
    with session.read() as tx:
        named = wire.branch_name(request)
        try:
            branch = branches.get(tx, *named)
        except NotFound as missing:
            raise NotFound(f"inspect branch in transaction: {missing}\n{BranchNotFound(*named)}") from None
        return wire.branch_info(tx, branch)


def list_branch(request: pfs.ListBranchRequest, session: Session) -> Iterator[pfs.BranchInfo]:
    with session.read() as tx:
        found = branches.list_branches(tx, wire.repo_name(request) if request.repo.name else None)
        if request.reverse:
            found.reverse()
        infos = [wire.branch_info(tx, branch) for branch in found]
    yield from infos


def delete_branch(request: pfs.DeleteBranchRequest, session: Session) -> Empty:
    with session.write() as tx:
        branches.delete(tx, *wire.branch_name(request), force=request.force)
    return Empty()
