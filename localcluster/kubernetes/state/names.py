"""What names, labels and keys may look like, and the API server's words for those that may not.

Each check returns what is wrong with a text; nothing, if it may be used.
"""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_PREFIXED = " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"


@dataclass(frozen=True)
class _Form:
    """A regular expression, what it means in words, and examples of it."""

    pattern: str
    meaning: str
    examples: tuple[str, ...]
    longest: int = 0

    def faults(self, text: str) -> list[str]:
        found = [] if not self.longest or len(text) <= self.longest else [too_long(self.longest)]
        return found if re.fullmatch(self.pattern, text) else [*found, self.words]

    @property
    def words(self) -> str:
        examples = " or ".join(f"'{each}', " for each in self.examples)
        return f"{self.meaning} (e.g. {examples}regex used for validation is '{self.pattern}')"


_SUBDOMAIN = _Form(
    rf"{_LABEL}(\.{_LABEL})*",
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character",
    ("example.com",),
    253,
)
_DNS_LABEL = _Form(
    _LABEL,
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character",
    ("my-name", "123-abc"),
    63,
)
_DNS_1035 = _Form(
    "[a-z]([-a-z0-9]*[a-z0-9])?",
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character",
    ("my-name", "abc-123"),
    63,
)
_VALUE = _Form(
    f"({_QUALIFIED})?",
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
    "and end with an alphanumeric character",
    ("MyValue", "my_value", "12345"),
    63,
)
_NAME_PART = _Form(
    _QUALIFIED,
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    ("MyName", "my.name", "123-abc"),
    63,
)
_KEY = _Form(
    "[-._a-zA-Z0-9]+",
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    ("key.name", "KEY_NAME", "key-name"),
    253,
)
_HEADER = _Form(
    "[-A-Za-z0-9]+", "a valid HTTP header must consist of alphanumeric characters or '-'", ("X-Header-Name",)
)


def too_long(limit: int) -> str:
    """What is said of a text of more than `limit` characters."""
    return f"must be no more than {limit} characters"


def subdomain(text: str) -> list[str]:
    """The name of most objects."""
    return _SUBDOMAIN.faults(text)


def label(text: str) -> list[str]:
    """The name of a namespace, a container, a volume."""
    if len(text) <= _DNS_LABEL.longest and "." in text and re.fullmatch(_SUBDOMAIN.pattern, text):
        return ["must not contain dots"]
    return [too_long(_DNS_LABEL.longest)] if len(text) > _DNS_LABEL.longest else _DNS_LABEL.faults(text)


def service(text: str) -> list[str]:
    """The name of a Service."""
    return _DNS_1035.faults(text)


def label_value(text: str) -> list[str]:
    """A label's value."""
    return _VALUE.faults(text)


def qualified(text: str) -> list[str]:
    """The key of a label or an annotation: a name, or a domain, a slash and a name."""
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        return [f"a qualified name {_NAME_PART.words}{_PREFIXED}"]
    found = []
    if slash:
        found += [f"prefix part {fault}" for fault in (subdomain(prefix) if prefix else ["must be non-empty"])]
    if not name:
        found.append("name part must be non-empty")
    return found + [f"name part {fault}" for fault in _NAME_PART.faults(name)]


def config_key(text: str) -> list[str]:
    """A key of a ConfigMap or Secret."""
    found = _KEY.faults(text)
    if text in (".", ".."):
        return [*found, f"must not be '{text}'"]
    return [*found, "must not start with '..'"] if text.startswith("..") else found


def header(text: str) -> list[str]:
    """The name of a header that a probe sends."""
    return _HEADER.faults(text)


def environment(text: str) -> list[str]:
    """The name of an environment variable."""
    if all(" " <= character <= "~" and character != "=" for character in text):
        return []
    return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]


def random_suffix() -> str:
    """Five letters and digits, as `generateName` appends them."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(5))
