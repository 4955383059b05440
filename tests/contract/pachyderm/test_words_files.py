"""Files: the exact words of errors, wrapping and all; scripts and search engines know them."""

from __future__ import annotations

import pytest
from pachyderm_sdk.api import pfs

from tests.contract.pachyderm.mistakes import NO_BRANCH, NO_COMMIT, NO_REPO, Case, Mistakes

CASES: dict[str, Case] = {
    "write: no repo": ("NOT_FOUND", "repo PROJECT/no not found", lambda m: m.write(m.head("no"))),
    "write: no commit": ("NOT_FOUND", NO_COMMIT, lambda m: m.write(m.at())),
    "write: a glob": (
        "UNKNOWN",
        "path (/a*) invalid: globbing character (*) not allowed in path",
        lambda m: m.write(m.head(), "/a*"),
    ),
    "file: missing": (
        "NOT_FOUND",
        "file /no not found in repo PROJECT/data at commit FIRST",
        lambda m: [*m.pfs.get_file(file=pfs.File(commit=m.at(m.first), path="/no"))],
    ),
    "file: glob without a match": (
        "NOT_FOUND",
        "file /*.no not found in repo PROJECT/data at commit FIRST",
        lambda m: [*m.pfs.get_file(file=pfs.File(commit=m.at(m.first), path="/*.no"))],
    ),
    "file: a directory": (
        "UNKNOWN",
        "cannot get directory or non-regular file. Use GetFileTAR instead",
        lambda m: [*m.pfs.get_file(file=pfs.File(commit=m.head(), path="/d"))],
    ),
    "file: no branch": (
        "NOT_FOUND",
        f"get file: {NO_BRANCH}",
        lambda m: [*m.pfs.get_file(file=pfs.File(commit=m.head(branch="no"), path="/a"))],
    ),
    "file: no repo": (
        "NOT_FOUND",
        f"get file: {NO_REPO}",
        lambda m: [*m.pfs.get_file(file=pfs.File(commit=m.head("no"), path="/a"))],
    ),
    "tar: no branch": (
        "NOT_FOUND",
        NO_BRANCH,
        lambda m: [*m.pfs.get_file_tar(file=pfs.File(commit=m.head(branch="no"), path="/a"))],
    ),
    "list: no branch": (
        "NOT_FOUND",
        NO_BRANCH,
        lambda m: [*m.pfs.list_file(file=pfs.File(commit=m.head(branch="no"), path="/"))],
    ),
    "glob: no branch": ("NOT_FOUND", NO_BRANCH, lambda m: [*m.pfs.glob_file(commit=m.head(branch="no"), pattern="/*")]),
    "glob: does not end": (
        "UNKNOWN",
        "unexpected end of input",
        lambda m: [*m.pfs.glob_file(commit=m.head(), pattern="/[a")],
    ),
    "file: missing on a branch": (
        "NOT_FOUND",
        "file no not found in repo PROJECT/data at commit ",
        lambda m: [*m.pfs.get_file(file=pfs.File(commit=m.head(), path="no"))],
    ),
    "file: missing to inspect": (
        "NOT_FOUND",
        "file /no not found in repo PROJECT/data at commit ",
        lambda m: m.pfs.inspect_file(file=pfs.File(commit=m.head(), path="/no")),
    ),
    "file: none": ("UNKNOWN", "file cannot be nil", lambda m: m.pfs.inspect_file()),
    "file: of no commit": ("UNKNOWN", "commit cannot be nil", lambda m: m.pfs.inspect_file(file=pfs.File(path="/a"))),
    "file: glob does not end": (
        "UNKNOWN",
        "get file: unexpected end of input",
        lambda m: [*m.pfs.get_file(file=pfs.File(commit=m.head(), path="/[a"))],
    ),
    "tar: missing": (
        "NOT_FOUND",
        "file /no not found in repo PROJECT/data at commit FIRST",
        lambda m: [*m.pfs.get_file_tar(file=pfs.File(commit=m.at(m.first), path="/no"))],
    ),
    "list: backwards without a number": (
        "UNKNOWN",
        "number must be > 0 when reverse is true",
        lambda m: [*m.pfs.list_file(file=pfs.File(commit=m.head(), path="/"), reverse=True)],
    ),
    "write: nothing": ("UNKNOWN", "EOF", lambda m: m.pfs.modify_file(iter([]))),
    "write: no commit first": (
        "UNKNOWN",
        "first message must be a commit",
        lambda m: m.pfs.modify_file(iter([pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path="/a"))])),
    ),
    "write: two commits": ("UNKNOWN", "cannot set commit", lambda m: m.modify(m.head(), set_commit=m.head())),
    "write: neither commit nor branch": (
        "UNKNOWN",
        "pick commit tx: cannot pick commit with no ID or branch",
        lambda m: m.write(pfs.Commit(repo=m.repo("data"))),
    ),
    "write: no path": (
        "UNKNOWN",
        "path () invalid: only printable ASCII characters allowed",
        lambda m: m.write(m.head(), ""),
    ),
    "write: relative path": (
        "UNKNOWN",
        "path (/../a) invalid: relative file paths are not allowed",
        lambda m: m.write(m.head(), "/../a"),
    ),
    "write: a glob to delete": (
        "UNKNOWN",
        "path (/a*) invalid: globbing character (*) not allowed in path",
        lambda m: m.modify(m.head(), delete_file=pfs.DeleteFile(path="/a*")),
    ),
    "write: nothing to copy": (
        "INVALID_ARGUMENT",
        "validate recv: invalid ModifyFileRequest.CopyFile: embedded message failed validation | caused by: invalid"
        " CopyFile.Src: value is required",
        lambda m: m.modify(m.head(), copy_file=pfs.CopyFile(dst="/x")),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_words(mistakes: Mistakes, case: Case) -> None:
    code, words, call = case
    assert mistakes.answer(call) == (code, words)
