"""Pachyderm's globs: `*`, `**`, `?`, `[a-z]`, `[^a]`, `{a,b}` and `@( ) *( ) +( ) ?( ) !( )`."""

from __future__ import annotations

import re
from collections.abc import Callable

from bracex import ExpansionLimitException, expand
from wcmatch import glob as wcglob

from localcluster.pachyderm.errors import PachdError
from localcluster.pachyderm.names import GLOBBING

_FLAGS = wcglob.GLOBSTAR | wcglob.EXTGLOB | wcglob.DOTGLOB | wcglob.FORCEUNIX

_CROSSING = re.compile(r"(?<![/*])\*\*(?!\*)|(?<!\*)\*\*(?![/*]|$)")
"""`**` that is only a part of a path element: it crosses directories for pachd, but not for wcmatch."""

_OPEN = re.compile(r"(?<!\\)\[(\]|[^\]]*$)")
"""A set of characters that does not end, or is empty."""


def is_glob(pattern: str) -> bool:
    """Whether the pattern may match anything but the path that it spells."""
    return not GLOBBING.isdisjoint(pattern)


def matcher(pattern: str) -> Callable[[str], bool]:
    """A test of paths, those of directories with or without a slash at the end.  Raises PachdError."""
    if _OPEN.search(pattern):
        raise PachdError("unexpected end of input")
    pattern = _CROSSING.sub("{*,*/**/*}", "/" + pattern.lstrip("/"))
    if pattern != "/":
        pattern = pattern.rstrip("/")
    try:
        patterns = [one for one in expand(pattern, keep_escapes=True) if "//" not in one]
        compiled = [wcglob.compile(one, flags=_FLAGS) for one in patterns]
    except (ExpansionLimitException, re.error, RecursionError) as error:
        raise PachdError(f"cannot compile glob {pattern[:200]!r}: {error}") from None
    return lambda path: any(one.match(path if path == "/" else path.rstrip("/")) for one in compiled)
