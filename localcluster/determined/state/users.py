"""Users, their passwords and the tokens that stand for them.

The client sends sha512(salt + password); that text is what argon2 hashes here.  A token is random and kept only as a
SHA-256, since it needs no slow hash.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import argon2

from localcluster.determined.errors import AlreadyExists, InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from localcluster.determined.state.database import Database, Row, now, stamp

CLIENT_SALT = "GubPEmmotfiK9TMD6Zdw"
"""What every Determined client puts before the password before hashing it."""

TOKEN_LIFETIME = timedelta(days=7)
INITIAL_USERS = {"admin": True, "determined": False}
"""Usernames of a new cluster and whether they are administrators."""

_HASHER = argon2.PasswordHasher()


def client_hash(password: str) -> str:
    """Return what a client sends for `password`."""
    return hashlib.sha512((CLIENT_SALT + password).encode()).hexdigest() if password else ""


def token_hash(token: str) -> str:
    """Return the form in which tokens are stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def ensure_initial(db: Database, password: str) -> None:
    """Create the first users; while nobody changed their password, it follows the secret file."""
    known = {row["username"]: row for row in db.rows("SELECT * FROM users")}
    hashed = client_hash(password)
    with db.transaction():
        for name, admin in INITIAL_USERS.items():
            user = known.get(name)
            if user is None:
                _insert(db, name, hashed, admin=admin, initial=True)
            elif user["initial"] and not _matches(user["password"], hashed):
                db.update("users", "id", user["id"], password=_HASHER.hash(hashed))


def login(db: Database, username: str, password: str) -> tuple[str, Row]:
    """Return a new token and the user; raises PermissionDenied for a wrong name or password."""
    user = db.row("SELECT * FROM users WHERE username = ?", username)
    if user is None or not user["active"] or not _matches(user["password"], password):
        raise PermissionDenied("invalid credentials")
    token = secrets.token_urlsafe(32)
    with db.transaction():
        db.execute("DELETE FROM tokens WHERE expires_at < ?", now())
        expires = stamp(datetime.now(UTC) + TOKEN_LIFETIME)
        db.insert("tokens", hash=token_hash(token), user_id=user["id"], expires_at=expires)
    return token, user


def logout(db: Database, token: str) -> None:
    """Forget a token."""
    with db.transaction():
        db.execute("DELETE FROM tokens WHERE hash = ?", token_hash(token))


def of_token(db: Database, token: str) -> Row:
    """Return the user a token stands for; raises Unauthenticated."""
    user = db.row(
        "SELECT users.* FROM tokens JOIN users ON users.id = user_id WHERE hash = ? AND expires_at > ? AND active",
        token_hash(token),
        now(),
    )
    if user is None:
        raise Unauthenticated("the token is unknown or has expired: log in again with `det user login`")
    return user


def get(db: Database, key: int | str) -> Row:
    """Find a user by id or name; raises NotFound."""
    column = "id" if isinstance(key, int) else "username"
    user = db.row(f"SELECT * FROM users WHERE {column} = ?", key)  # noqa: S608
    if user is None:
        raise NotFound(f"user {key} not found")
    return user


def every(db: Database) -> list[Row]:
    """Return all users."""
    return db.rows("SELECT * FROM users ORDER BY id")


def create(db: Database, username: str, password: str, *, admin: bool) -> Row:
    """Add a user; raises InvalidArgument, AlreadyExists."""
    if not username.strip():
        raise InvalidArgument("a username must not be blank")
    if db.row("SELECT 1 FROM users WHERE username = ?", username):
        raise AlreadyExists(f"user {username} already exists")
    with db.transaction():
        return get(db, _insert(db, username, password, admin=admin, initial=False))


def change(db: Database, user_id: int, changes: dict[str, Any]) -> Row:
    """Set `password` (as the client hashed it), `active`, `admin`, `display_name`; a new password ends all sessions."""
    get(db, user_id)
    columns: dict[str, Any] = {key: changes[key] for key in ("active", "admin", "display_name") if key in changes}
    with db.transaction():
        if "password" in changes:
            columns |= {"password": _HASHER.hash(changes["password"]), "initial": 0}
            db.execute("DELETE FROM tokens WHERE user_id = ?", user_id)
        db.update("users", "id", user_id, **columns, modified_at=now())
        return get(db, user_id)


def _insert(db: Database, username: str, password: str, *, admin: bool, initial: bool) -> int:
    return db.insert(
        "users",
        username=username,
        password=_HASHER.hash(password),
        admin=admin,
        initial=initial,
        modified_at=now(),
    )


def _matches(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except argon2.exceptions.VerifyMismatchError:
        return False
