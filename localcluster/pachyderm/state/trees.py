"""What files a commit holds: layers of changed paths, from the commit down to its nearest complete ancestor.

A commit stores only the paths that it changed (`pieces` NULL: deleted).  Every MOST_LAYERS commits, or once the
layers hold more changes than there are files, finishing a commit makes it complete: it then stores every path.  So a
commit costs what it changes, and reading one costs the same after a thousand commits as after one.

A commit that finished with an error is left out of its descendants' layers, as upstream falls back to the last good
ancestor.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from localcluster.pachyderm.blobs import Blob
from localcluster.pachyderm.clock import now
from localcluster.pachyderm.errors import PachdError
from localcluster.pachyderm.hashes import DIGEST_SIZE
from localcluster.pachyderm.names import CommitName
from localcluster.pachyderm.state import commits
from localcluster.pachyderm.state.commits import Commit
from localcluster.pachyderm.state.database import Transaction

MOST_LAYERS = 64
FEWEST_CHANGES = 256
"""Below this many changes a commit is not made complete, however few files there are."""


@dataclass(frozen=True)
class Entry:
    """A file: its path, the blobs whose concatenation it is, its size in bytes and its 32-byte hash."""

    path: str
    pieces: list[bytes]
    size: int
    hash: bytes


class Tree:
    """The files of a commit, or with `inherited` only those it started from, as one transaction sees them."""

    def __init__(self, tx: Transaction, commit: int, *, inherited: bool = False) -> None:
        rows = tx.execute(
            "WITH RECURSIVE line(number, parent, complete, error, step) AS ("
            " SELECT number, parent, complete, error, 0 FROM commits WHERE number=? UNION ALL"
            " SELECT c.number, c.parent, c.complete, c.error, step + 1"
            " FROM commits c JOIN line ON c.number = line.parent WHERE NOT line.complete OR (step = 0 AND ?))"
            " SELECT number, step FROM line WHERE step = 0 OR error = ''",
            (commit, inherited),
        )
        self._tx = tx
        self.layers = [row["number"] for row in rows if row["step"] or not inherited]

    def file(self, path: str) -> Entry | None:
        """The file at a clean path."""
        found = self._select("path = ?", [path])
        return found[0] if found else None

    def files(self, under: str = "/") -> list[Entry]:
        """The files below a directory (a clean path), by path."""
        prefix = under.rstrip("/")
        return self._select("path > ? AND path < ?", [f"{prefix}/", f"{prefix}0"])

    def has_files(self, under: str) -> bool:
        """Whether there is a file below a directory."""
        return bool(self.files(under))

    def _select(self, condition: str, parameters: list[str]) -> list[Entry]:
        layers = ",".join(map(str, self.layers))
        rows = self._tx.execute(
            "SELECT path, pieces, size, hash FROM (SELECT path, pieces, size, hash, max(commit_number) FROM entries"  # noqa: S608
            f" WHERE commit_number IN ({layers}) AND {condition} GROUP BY path)"
            " WHERE pieces IS NOT NULL ORDER BY path",
            parameters,
        )
        return [Entry(path, unpack(pieces), size, hash_) for path, pieces, size, hash_ in rows]


def readable(tx: Transaction, name: CommitName) -> Commit:
    """The commit that `name` stands for.  Raises PachdError where it is open on an open one: its files are unknown."""
    commit = commits.resolve(tx, name)
    base = commit
    while (base is commit and commit.finished is None) or base.error:
        if base.parent is None:
            return commit
        base = commits.get(tx, base.parent)
    if base.finished is None:
        raise PachdError(f"base commit {base} for commit {commit} unfinished")
    return commit


def entry(path: str, blob: Blob) -> Entry:
    """The file at a clean path that a blob is."""
    return Entry(path, [blob.id] if blob.size else [], blob.size, blob.hash)


def unpack(pieces: bytes) -> list[bytes]:
    """The blob ids of an entry as the database stores them."""
    return [pieces[at : at + DIGEST_SIZE] for at in range(0, len(pieces), DIGEST_SIZE)]


def put(tx: Transaction, commit: Commit, entry: Entry) -> None:
    """Make `entry` the file at its path in an open commit."""
    tx.execute(
        "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)",
        (commit.number, entry.path, b"".join(entry.pieces), entry.size, entry.hash),
    )


def remove(tx: Transaction, commit: Commit, path: str) -> None:
    """Make the commit have no file at `path`."""
    tx.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, NULL, 0, x'')", (commit.number, path))


def keep(tx: Transaction, commit: Commit, paths: Collection[str]) -> None:
    """Remove what an open commit inherited, but for some paths."""
    for entry in Tree(tx, commit.number, inherited=True).files():
        if entry.path not in paths:
            remove(tx, commit, entry.path)


def write(tx: Transaction, commit: Commit, entries: Iterable[Entry]) -> None:
    """Let an open commit have these files among its others; one that it has already costs nothing."""
    before = {entry.path: entry for entry in Tree(tx, commit.number).files()}
    for entry in entries:
        if before.get(entry.path) != entry:
            put(tx, commit, entry)


def bound(tx: Transaction, commit: Commit) -> int:
    """Bytes that the commit's files have at most: exact once it is finished."""
    if commit.finished is not None:
        return commit.size
    base = Tree(tx, commit.number, inherited=True).layers[:1]
    query = "SELECT coalesce(sum(size), 0) FROM entries WHERE commit_number=?"
    own: int = tx.execute(query, (commit.number,)).fetchone()[0]
    return own + sum(commits.get(tx, number).size for number in base)


def changed(tx: Transaction, commit: Commit, path: str) -> bool:
    """Whether the commit's file at `path` is another than the one it started from."""
    return Tree(tx, commit.number).file(path) != Tree(tx, commit.number, inherited=True).file(path)


def clear(tx: Transaction, commit: Commit) -> None:
    """Undo all changes that the open commit made."""
    tx.execute("DELETE FROM entries WHERE commit_number=?", (commit.number,))


def collision(tx: Transaction, commit: Commit) -> str:
    """A path at which the commit's changes make a file and a directory collide, or ""."""
    tree = Tree(tx, commit.number)
    own: list[str] = [
        path
        for (path,) in tx.execute(
            "SELECT path FROM entries WHERE commit_number=? AND pieces IS NOT NULL ORDER BY path", (commit.number,)
        )
    ]
    checked: dict[str, bool] = {}
    for path in own:
        for directory in map(str, PurePosixPath(path).parents):
            if directory not in checked:
                checked[directory] = tree.file(directory) is not None
            if checked[directory]:
                return path
    return next((path for path in own if path not in checked and tree.has_files(path)), "")


def finish(tx: Transaction, commit: Commit, description: str = "", error: str = "") -> str:
    """Close an open commit; the error it has then: the one given, or files and directories that collide."""
    if not error and (path := collision(tx, commit)):
        error = f"file / directory path collision ({path})"
    tx.execute(
        "UPDATE commits SET finished=?, error=?, description=? WHERE number=?",
        (now(), error, description or commit.description, commit.number),
    )
    if not error:
        seal(tx, commit)
    return error


def seal(tx: Transaction, commit: Commit) -> None:
    """Count the files and bytes of a commit that has just finished without error, and complete it where due."""
    base = Tree(tx, commit.number, inherited=True)
    size = files = layers = changes = 0
    if base.layers:
        size, files, layers, changes = tx.execute(
            "SELECT size, files, layers, changes FROM commits WHERE number=?", (base.layers[0],)
        ).fetchone()
    for path, pieces, own_size in tx.execute(
        "SELECT path, pieces, size FROM entries WHERE commit_number=?", (commit.number,)
    ).fetchall():
        before = base.file(path) if base.layers else None
        size += own_size - (before.size if before else 0)
        files += (pieces is not None) - (before is not None)
        changes += 1
    layers += 1
    complete = not base.layers or layers >= MOST_LAYERS or changes > max(files, FEWEST_CHANGES)
    tx.execute(
        "UPDATE commits SET size=?, files=?, layers=?, changes=?, complete=? WHERE number=?",
        (size, files, layers, changes, 0, commit.number),
    )
    if complete:
        make_complete(tx, commit)


def make_complete(tx: Transaction, commit: Commit) -> None:
    """Let the commit store every path, so that reading it needs no ancestor."""
    for entry in Tree(tx, commit.number, inherited=True).files():
        tx.execute(
            "INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, ?)",
            (commit.number, entry.path, b"".join(entry.pieces), entry.size, entry.hash),
        )
    tx.execute("DELETE FROM entries WHERE commit_number=? AND pieces IS NULL", (commit.number,))
    tx.execute("UPDATE commits SET complete=1, layers=0, changes=0 WHERE number=?", (commit.number,))


def hand_down(tx: Transaction, commit: Commit, heirs: list[Commit]) -> None:
    """Copy what the commit changed into commits that inherit it directly, so that it can go."""
    if commit.error:
        return
    mine = {entry.path for entry in Tree(tx, commit.number).files()}
    gone = [entry.path for entry in Tree(tx, commit.number, inherited=True).files() if entry.path not in mine]
    for heir in heirs:
        if tx.execute("SELECT complete FROM commits WHERE number=?", (heir.number,)).fetchone()[0]:
            continue
        tx.execute(
            "INSERT OR IGNORE INTO entries SELECT ?, path, pieces, size, hash FROM entries WHERE commit_number=?",
            (heir.number, commit.number),
        )
        tx.executemany(
            "INSERT OR IGNORE INTO entries VALUES (?, ?, NULL, 0, x'')", [(heir.number, path) for path in gone]
        )


def referenced_blobs(tx: Transaction) -> set[bytes]:
    """The ids of all blobs that any commit or any datum's result refers to."""
    rows = tx.execute("SELECT pieces FROM entries WHERE pieces IS NOT NULL UNION SELECT pieces FROM result_entries")
    return {piece for (pieces,) in rows for piece in unpack(pieces)}
