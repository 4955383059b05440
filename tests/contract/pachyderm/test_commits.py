"""Commits: their states, their order, references to them, waiting, squashing and dropping."""

from __future__ import annotations

import re
import threading
import uuid

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from tests.contract.pachyderm.helpers import file_at, names, put, read, refused


def test_a_commit_has_a_uuid4_id_and_no_branch_in_answers(client: Client, master: pfs.Branch) -> None:
    commit = put(client, master, {"/a": b"123"})
    info = client.pfs.inspect_commit(commit=pfs.Commit(repo=master.repo, branch=master))
    assert uuid.UUID(info.commit.id).version == 4
    assert info.commit.id == commit.id
    assert info.commit.branch.name == ""
    assert info.origin.kind == pfs.OriginKind.USER


def test_a_finished_commit_has_its_times_and_size(client: Client, master: pfs.Branch) -> None:
    with client.pfs.commit(branch=master, description="why") as commit:
        commit.put_file_from_bytes("/a", b"12345")
        opened = client.pfs.inspect_commit(commit=commit)
        assert opened.finished.timestamp() == opened.finishing.timestamp() == 0
    info = commit.wait()
    assert info.started <= info.finishing <= info.finished
    assert info.details.size_bytes == 5
    listed = list(client.pfs.list_commit(repo=master.repo))
    assert [info.size_bytes_upper_bound for info in listed] == [5]
    assert info.description == "why"
    assert info.error == ""


def test_commits_are_listed_newest_first(client: Client, master: pfs.Branch) -> None:
    made = [put(client, master, {"/n": str(number).encode()}).id for number in range(4)]
    listed = [info.commit.id for info in client.pfs.list_commit(repo=master.repo)]
    assert listed == made[::-1]
    first, third = (pfs.Commit(repo=master.repo, id=made[at]) for at in (0, 2))
    between = client.pfs.list_commit(repo=master.repo, to=third, from_=first)
    assert [info.commit.id for info in between] == [made[2], made[1]]
    assert [i.commit.id for i in client.pfs.list_commit(repo=master.repo, number=1)] == made[-1:]
    assert [i.commit.id for i in client.pfs.list_commit(repo=master.repo, reverse=True)] == made
    assert list(client.pfs.list_commit(repo=master.repo, origin_kind=pfs.OriginKind.FSCK)) == []


def test_parents_and_children(client: Client, master: pfs.Branch) -> None:
    first, second = put(client, master, {"/a": b"1"}), put(client, master, {"/a": b"2"})
    assert client.pfs.inspect_commit(commit=second).parent_commit.id == first.id
    assert [child.id for child in client.pfs.inspect_commit(commit=first).child_commits] == [second.id]


def test_ancestry(client: Client, master: pfs.Branch) -> None:
    for number in range(3):
        put(client, master, {"/n": str(number).encode()})
    uri = master.as_uri()
    assert read(client, f"{uri}:/n") == b"2"
    assert read(client, f"{uri}^:/n") == b"1"
    assert read(client, f"{uri}^2:/n") == b"0"
    assert read(client, f"{uri}^^:/n") == b"0"
    assert read(client, f"{uri}.1:/n") == b"0"
    for suffix, words in [("^3", "invalid offset for ancestor of commit"), (".9", "invalid offset from branch root")]:
        with refused(grpc.StatusCode.UNKNOWN, words):
            client.pfs.inspect_commit(commit=pfs.Commit.from_uri(f"{uri}{suffix}"))


def test_reading_by_id_sees_the_files_of_then(client: Client, master: pfs.Branch) -> None:
    first = put(client, master, {"/a": b"old", "/gone": b"x"})
    with client.pfs.commit(branch=master) as commit:
        commit.delete_file(path="/gone")
        commit.put_file_from_bytes("/a", b"new")
    assert names(client.pfs.list_file(file=file_at(first, "/"))) == ["/a", "/gone"]
    assert client.pfs.pfs_file(file_at(first, "/a")).read() == b"old"
    assert names(client.pfs.list_file(file=file_at(commit, "/"))) == ["/a"]


def test_an_open_commit_can_be_read(client: Client, master: pfs.Branch) -> None:
    put(client, master, {"/a": b"1"})
    with client.pfs.commit(branch=master) as commit:
        commit.put_file_from_bytes("/b", b"2")
        assert names(client.pfs.list_file(file=file_at(commit, "/"))) == ["/a", "/b"]


def test_a_commit_cannot_start_on_an_open_one(client: Client, master: pfs.Branch) -> None:
    with (
        client.pfs.commit(branch=master) as commit,
        refused(grpc.StatusCode.UNKNOWN, f"parent commit {commit.as_uri()} has not been finished"),
    ):
        client.pfs.start_commit(branch=master)


def test_a_finished_commit_is_closed(client: Client, master: pfs.Branch) -> None:
    commit = put(client, master, {"/a": b"1"})
    with refused(grpc.StatusCode.UNKNOWN, f"{commit.as_uri()} has already finished"):
        client.pfs.finish_commit(commit=commit)
    with refused(grpc.StatusCode.UNKNOWN, "has already finished"):
        client.pfs.put_file_from_bytes(commit=commit, path="/b", data=b"2")


def test_a_fork_starts_from_another_branchs_commit(client: Client, master: pfs.Branch) -> None:
    base = put(client, master, {"/a": b"1"})
    put(client, master, {"/b": b"2"})
    fork = pfs.Branch(repo=master.repo, name="fork")
    with client.pfs.commit(branch=fork, parent=base) as commit:
        commit.put_file_from_bytes("/c", b"3")
    assert names(client.pfs.list_file(file=file_at(commit, "/"))) == ["/a", "/c"]
    unknown = pfs.Commit(repo=master.repo, id=uuid.uuid4().hex)
    with refused(grpc.StatusCode.NOT_FOUND, "parent commit"):
        client.pfs.start_commit(branch=fork, parent=unknown)


def test_a_commit_may_finish_with_an_error(client: Client, master: pfs.Branch) -> None:
    put(client, master, {"/a": b"good"})
    bad = client.pfs.start_commit(branch=master)
    client.pfs.put_file_from_bytes(commit=bad, path="/a", data=b"bad")
    client.pfs.finish_commit(commit=bad, error="no good")
    assert client.pfs.inspect_commit(commit=bad, wait=pfs.CommitState.FINISHED).error == "no good"
    put(client, master, {"/b": b"next"})
    assert read(client, f"{master.as_uri()}:/a") == b"good"


def test_a_file_and_a_directory_of_one_name_are_the_commits_error(client: Client, master: pfs.Branch) -> None:
    with client.pfs.commit(branch=master) as commit:
        commit.put_file_from_bytes("/a", b"file")
        commit.put_file_from_bytes("/a/b", b"in a directory")
    assert re.search("file / directory path collision", commit.wait().error)


def test_wait_returns_when_another_client_finishes(client: Client, master: pfs.Branch) -> None:
    commit = client.pfs.start_commit(branch=master)
    finished: list[pfs.CommitInfo] = []
    waiter = threading.Thread(target=lambda: finished.append(client.pfs.wait_commit(commit)))
    waiter.start()
    client.pfs.put_file_from_bytes(commit=commit, path="/a", data=b"1")
    assert not finished
    client.pfs.finish_commit(commit=commit)
    waiter.join(30)
    assert finished[0].finished.timestamp() > 0


def test_subscribe_yields_old_and_new_commits(client: Client, master: pfs.Branch) -> None:
    client.pfs.create_branch(branch=master)
    seen: list[pfs.CommitInfo] = []
    both = threading.Event()

    def follow() -> None:
        for info in client.pfs.subscribe_commit(repo=master.repo, branch="master", state=pfs.CommitState.FINISHED):
            seen.append(info)
            if len(seen) == 2:
                both.set()
                return

    follower = threading.Thread(target=follow)
    follower.start()
    commit = put(client, master, {"/a": b"1"})
    assert both.wait(30)
    follower.join(30)
    assert [info.origin.kind for info in seen] == [pfs.OriginKind.AUTO, pfs.OriginKind.USER]
    assert seen[1].commit.id == commit.id


@pytest.mark.parametrize("wait", ["commit", "commit set"])
def test_whoever_waits_for_a_commit_is_told_that_it_was_deleted(client: Client, master: pfs.Branch, wait: str) -> None:
    commit = client.pfs.start_commit(branch=master)
    timer = threading.Timer(1, client.pfs.drop_commit, kwargs={"commit": commit})
    timer.start()
    with refused(grpc.StatusCode.UNKNOWN, f"commit {commit.as_uri()} was deleted"):
        if wait == "commit":
            client.pfs.inspect_commit(commit=commit, wait=pfs.CommitState.FINISHED)
        else:
            list(client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=commit.id), wait=True))
    timer.join()


def test_commit_sets(client: Client, master: pfs.Branch) -> None:
    commit = put(client, master, {"/a": b"1"})
    assert [info.commit.id for info in commit.wait_all()] == [commit.id]
    sets = [found.commit_set.id for found in client.pfs.list_commit_set(project=master.repo.project)]
    assert commit.id in sets
    unknown = uuid.uuid4().hex
    with refused(grpc.StatusCode.NOT_FOUND, f"no commits found for commitset {unknown}"):
        list(client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=unknown)))


def test_squash_keeps_the_files_of_the_child(client: Client, master: pfs.Branch) -> None:
    first = put(client, master, {"/a": b"1", "/c": b"c"})
    middle = put(client, master, {"/b": b"2", "/c": b"C"})
    last = put(client, master, {"/a": b"3"})
    client.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=middle.id))
    assert not client.pfs.commit_exists(middle)
    assert client.pfs.inspect_commit(commit=last).parent_commit.id == first.id
    content = {path: client.pfs.pfs_file(file_at(last, path)).read() for path in ("/a", "/b", "/c")}
    assert content == {"/a": b"3", "/b": b"2", "/c": b"C"}
    client.pfs.squash_commit(commit=first)
    assert names(client.pfs.list_file(file=file_at(last, "/"))) == ["/a", "/b", "/c"]
    with refused(grpc.StatusCode.UNKNOWN, "cannot squash a commit that has no children"):
        client.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=last.id))


def test_drop_takes_the_branch_back(client: Client, master: pfs.Branch) -> None:
    first, last = put(client, master, {"/a": b"1"}), put(client, master, {"/a": b"2"})
    with refused(grpc.StatusCode.UNKNOWN, "cannot drop a commit that has children"):
        client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=first.id))
    client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=last.id))
    assert read(client, f"{master.as_uri()}:/a") == b"1"
    client.pfs.drop_commit(commit=first)
    head = client.pfs.inspect_branch(branch=master).head
    assert client.pfs.inspect_commit(commit=head).origin.kind == pfs.OriginKind.AUTO
    assert list(client.pfs.list_file(file=file_at(head, "/"))) == []


def test_what_does_not_exist(client: Client, master: pfs.Branch) -> None:
    with refused(grpc.StatusCode.NOT_FOUND, f'branch "master" not found in repo {master.repo.as_uri()}'):
        client.pfs.inspect_commit(commit=pfs.Commit(repo=master.repo, branch=master))
    unknown = pfs.Commit(repo=master.repo, id=uuid.uuid4().hex)
    with refused(grpc.StatusCode.NOT_FOUND, f"commit {unknown.as_uri()} not found"):
        client.pfs.inspect_commit(commit=unknown)
    assert not client.pfs.commit_exists(unknown)
    with pytest.raises(ValueError, match="commit does not exist"):
        client.pfs.path_exists(file_at(unknown, "/a"))
