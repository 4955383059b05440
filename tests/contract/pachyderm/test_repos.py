"""Projects, repos and branches."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from tests.contract.pachyderm.helpers import file_at, names, put, refused


def test_a_repo_is_created_once(client: Client, repo: pfs.Repo) -> None:
    with refused(grpc.StatusCode.ALREADY_EXISTS, f"repo {repo.as_uri()} already exists"):
        client.pfs.create_repo(repo=repo)
    client.pfs.create_repo(repo=repo, description="changed", update=True)
    info = client.pfs.inspect_repo(repo=repo)
    assert info.description == "changed"
    assert info.repo.type == "user"
    assert info.repo.project.name == "default"


def test_a_missing_repo(client: Client) -> None:
    missing = pfs.Repo.from_uri(f"missing-{uuid.uuid4().hex}")
    assert not client.pfs.repo_exists(missing)
    with refused(grpc.StatusCode.NOT_FOUND, f"repo {missing.as_uri()} not found"):
        client.pfs.inspect_repo(repo=missing)
    assert not client.pfs.delete_repo(repo=missing).deleted
    with refused(grpc.StatusCode.NOT_FOUND, "not found"):
        client.pfs.start_commit(branch=pfs.Branch(repo=missing, name="master"))


@pytest.mark.parametrize("name", ["x.y", "a b", "ä", "a@b", "a/b"])
def test_a_name_with_other_characters_is_refused(client: Client, name: str) -> None:
    with refused(grpc.StatusCode.UNKNOWN, "only alphanumeric characters, underscores, and dashes are allowed"):
        client.pfs.create_repo(repo=pfs.Repo(name=name, type="user", project=pfs.Project(name="default")))


def test_a_repo_of_an_unknown_type_is_refused(client: Client) -> None:
    with refused(grpc.StatusCode.UNKNOWN, "error checking whether repo"):
        client.pfs.create_repo(repo=pfs.Repo(name="r", type="weird", project=pfs.Project(name="default")))


def test_repos_are_listed_with_size_and_branches(client: Client, repo: pfs.Repo, master: pfs.Branch) -> None:
    put(client, master, {"/a": b"12345"})
    listed = {info.repo.name: info for info in client.pfs.list_repo(type="user")}
    assert listed[repo.name].size_bytes_upper_bound >= 5
    assert [branch.name for branch in listed[repo.name].branches] == ["master"]
    assert client.pfs.inspect_repo(repo=repo).details.size_bytes == 5


def test_projects_separate_repos(client: Client) -> None:
    project = pfs.Project(name=f"contract-{uuid.uuid4().hex[:12]}")
    client.pfs.create_project(project=project, description="mine")
    assert client.pfs.project_exists(project)
    assert client.pfs.inspect_project(project=project).description == "mine"
    with refused(grpc.StatusCode.ALREADY_EXISTS, f"project {project.name} already exists"):
        client.pfs.create_project(project=project)
    inside = pfs.Repo(name="inside", project=project)
    client.pfs.create_repo(repo=inside)
    assert [info.repo.name for info in client.pfs.list_repo(projects=[project])] == ["inside"]
    assert not client.pfs.repo_exists(pfs.Repo.from_uri(f"inside-not-in-default-{project.name}"))
    with refused(grpc.StatusCode.FAILED_PRECONDITION, f"repo {project.name}/inside still exists"):
        client.pfs.delete_project(project=project)
    client.pfs.delete_repo(repo=inside)
    client.pfs.delete_project(project=project)
    assert not client.pfs.project_exists(project)
    with refused(grpc.StatusCode.NOT_FOUND, f'project "{project.name}" not found'):
        client.pfs.create_repo(repo=inside)
    assert "default" in {info.project.name for info in client.pfs.list_project()}


def test_a_branch_without_a_head_gets_an_empty_commit(client: Client, master: pfs.Branch) -> None:
    client.pfs.create_branch(branch=master)
    assert client.pfs.branch_exists(master)
    head = client.pfs.inspect_commit(commit=client.pfs.inspect_branch(branch=master).head)
    assert head.origin.kind == pfs.OriginKind.AUTO
    assert head.finished.timestamp() > 0
    assert list(client.pfs.list_file(file=file_at(head.commit, "/"))) == []


def test_a_branch_may_point_at_any_commit_of_its_repo(client: Client, repo: pfs.Repo, master: pfs.Branch) -> None:
    first = put(client, master, {"/a": b"1"})
    put(client, master, {"/b": b"2"})
    release = pfs.Branch(repo=repo, name="release")
    client.pfs.create_branch(branch=release, head=first)
    assert client.pfs.inspect_branch(branch=release).head.id == first.id
    third = put(client, release, {"/c": b"3"})
    assert names(client.pfs.list_file(file=file_at(third, "/"))) == ["/a", "/c"]
    client.pfs.modify_file(
        iter(
            [
                pfs.ModifyFileRequest(set_commit=pfs.Commit(repo=repo, branch=release)),
                pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/d", raw=b"4")),
            ]
        )
    )
    assert client.pfs.inspect_branch(branch=release).head.id != third.id
    assert {info.branch.name for info in client.pfs.list_branch(repo=repo)} == {"master", "release"}
    client.pfs.delete_branch(branch=release)
    assert not client.pfs.branch_exists(release)
    assert client.pfs.commit_exists(third)


def test_a_missing_branch(client: Client, master: pfs.Branch) -> None:
    with refused(grpc.StatusCode.NOT_FOUND, f'branch "master" not found in repo {master.repo.as_uri()}'):
        client.pfs.inspect_branch(branch=master)


@pytest.fixture
def derived(client: Client, repo: pfs.Repo, master: pfs.Branch) -> Iterator[pfs.Branch]:
    """A branch of another repo with master in its provenance."""
    put(client, master, {"/a": b"1"})
    branch = pfs.Branch(repo=pfs.Repo.from_uri(f"{repo.name}-derived"), name="derived")
    client.pfs.create_repo(repo=branch.repo)
    client.pfs.create_branch(branch=branch, provenance=[master])
    yield branch
    client.pfs.delete_repo(repo=branch.repo, force=True)


def test_provenance_starts_a_commit_of_the_same_set(client: Client, master: pfs.Branch, derived: pfs.Branch) -> None:
    info = client.pfs.inspect_branch(branch=derived)
    assert [branch.name for branch in info.direct_provenance] == ["master"]
    assert [branch.name for branch in client.pfs.inspect_branch(branch=master).subvenance] == ["derived"]
    opened = client.pfs.inspect_commit(commit=info.head)
    assert opened.finished.timestamp() == 0
    assert opened.direct_provenance[0].id == client.pfs.inspect_branch(branch=master).head.id
    assert opened.direct_provenance[0].branch.name == "master"
    of_the_set = client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=opened.commit.id))
    assert [commit.commit.repo.name for commit in of_the_set] == [master.repo.name, derived.repo.name]


def test_a_branch_in_the_provenance_is_made_where_it_is_missing(client: Client, derived: pfs.Branch) -> None:
    new = pfs.Branch(repo=derived.repo, name="new")
    late = pfs.Branch(repo=pfs.Repo.from_uri(f"{derived.repo.name}-late"), name="master")
    client.pfs.create_repo(repo=late.repo)
    try:
        client.pfs.create_branch(branch=late, provenance=[new])
        assert client.pfs.inspect_commit(commit=client.pfs.inspect_branch(branch=new).head).finished.timestamp() > 0
    finally:
        client.pfs.delete_repo(repo=late.repo, force=True)


def test_a_derived_branch_is_not_the_users(client: Client, master: pfs.Branch, derived: pfs.Branch) -> None:
    with refused(grpc.StatusCode.UNKNOWN, "has not been finished"):
        client.pfs.start_commit(branch=derived)
    client.pfs.finish_commit(commit=client.pfs.inspect_branch(branch=derived).head)
    with refused(grpc.StatusCode.UNKNOWN, f"cannot start a commit on an output branch: {derived.as_uri()}"):
        client.pfs.start_commit(branch=derived)
    with refused(grpc.StatusCode.UNKNOWN, "cannot be deleted because it's in the direct provenance of"):
        client.pfs.delete_branch(branch=master)
    with refused(grpc.StatusCode.INTERNAL, "cycle detected"):
        client.pfs.create_branch(branch=master, provenance=[derived])
    with refused(grpc.StatusCode.UNKNOWN, f"repo {master.repo.as_uri()} cannot be in the provenance of its own branch"):
        client.pfs.create_branch(branch=pfs.Branch(repo=master.repo, name="other"), provenance=[master])
    client.pfs.delete_branch(branch=master, force=True)


def test_a_repo_is_only_once_in_a_graph(client: Client, repo: pfs.Repo, derived: pfs.Branch) -> None:
    other = pfs.Branch(repo=repo, name="other")
    client.pfs.create_branch(branch=other)
    with refused(grpc.StatusCode.UNKNOWN, "cannot participate in a DAG"):
        client.pfs.create_branch(branch=derived, provenance=[pfs.Branch(repo=repo, name="master"), other])


def test_a_commit_upstream_reaches_another_repo(client: Client, repo: pfs.Repo, master: pfs.Branch) -> None:
    other = pfs.Repo.from_uri(f"{repo.name}-out")
    client.pfs.create_repo(repo=other)
    output = pfs.Branch(repo=other, name="master")
    try:
        client.pfs.create_branch(branch=master)
        client.pfs.create_branch(branch=output, provenance=[master])
        client.pfs.finish_commit(commit=client.pfs.inspect_branch(branch=output).head)
        source = put(client, master, {"/a": b"1"})
        result = pfs.Commit(repo=other, id=source.id)
        assert client.pfs.inspect_commit(commit=result).direct_provenance[0].id == source.id
        assert {
            info.commit.repo.name for info in client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=source.id))
        } == {
            repo.name,
            other.name,
        }
        client.pfs.put_file_from_bytes(commit=result, path="/out", data=b"made")
        client.pfs.finish_commit(commit=result)
        assert names(client.pfs.list_file(file=file_at(pfs.Commit(repo=other, branch=output), "/"))) == ["/out"]
        with refused(grpc.StatusCode.UNKNOWN, "cannot be deleted because it's in the direct provenance of"):
            client.pfs.delete_repo(repo=repo)
        with refused(grpc.StatusCode.UNKNOWN, "with subvenance without recursive"):
            client.pfs.drop_commit(commit=source)
        client.pfs.drop_commit(commit=source, recursive=True)
        assert not client.pfs.commit_exists(source)
        assert not client.pfs.commit_exists(result)
    finally:
        client.pfs.delete_repo(repo=other, force=True)
