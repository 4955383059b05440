"""Users, their passwords and the tokens that stand for them.

The client sends sha512(salt + password); that text is what argon2 hashes here.  A token is random and kept only as a
SHA-256, since it needs no slow hash.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from datetime import UTC, datetime, timedelta

import argon2

from localcluster.determined.errors import Unauthenticated
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
    sent = client_hash(password)
    with db.transaction():
        for name, admin in INITIAL_USERS.items():
            user = db.row("SELECT * FROM users WHERE username = ?", name)
            if user is None:
                values = {"password": _HASHER.hash(sent), "admin": admin, "initial": True, "modified_at": now()}
                db.insert("users", username=name, **values)
            elif user["initial"] and not _matches(user["password"], sent):
                db.update("users", "id", user["id"], password=_HASHER.hash(sent))


async def login(db: Database, username: str, password: str) -> tuple[str, Row]:
    """Return a new token and the user; raises Unauthenticated for a wrong name or password.

    Hashing is slow on purpose, so a thread does it, and the database is left to the event loop.
    """
    user = db.row("SELECT * FROM users WHERE username = ?", username)
    if user is None or not await asyncio.to_thread(_matches, user["password"], password):
        raise Unauthenticated("invalid credentials")
    token = secrets.token_urlsafe(32)
    with db.transaction():
        db.execute("DELETE FROM tokens WHERE expires_at < ?", now())
        expires = stamp(datetime.now(UTC) + TOKEN_LIFETIME)
        db.insert("tokens", hash=token_hash(token), user_id=user["id"], expires_at=expires)
    return token, user


def logout(db: Database, token: str) -> None:
    """Forget a token."""
    db.execute("DELETE FROM tokens WHERE hash = ?", token_hash(token))


def of_token(db: Database, token: str) -> Row:
    """Return the user a token stands for; raises Unauthenticated."""
    user = db.row(
        "SELECT users.* FROM tokens JOIN users ON users.id = user_id WHERE hash = ? AND expires_at > ?",
        token_hash(token),
        now(),
    )
    if user is None:
        raise Unauthenticated("the token is unknown or has expired: log in again with `det user login`")
    return user


def get(db: Database, key: int | str) -> Row:
    """Find a user by id or name; raises NotFound."""
    column = "id" if isinstance(key, int) else "username"
    return db.one(f"user {key}", f"SELECT * FROM users WHERE {column} = ?", key)  # noqa: S608


async def set_password(db: Database, user_id: int, password: str) -> None:
    """Set the password (as the client hashed it) and end all the user's sessions."""
    stored = await asyncio.to_thread(_HASHER.hash, password)
    with db.transaction():
        db.update("users", "id", user_id, password=stored, initial=0, modified_at=now())
        db.execute("DELETE FROM tokens WHERE user_id = ?", user_id)


def _matches(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except argon2.exceptions.VerifyMismatchError:
        return False
