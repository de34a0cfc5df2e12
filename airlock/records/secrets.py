"""Passwords that must never reach a reader, and their removal from text.

Whoever parses a URL remembers its password here; the door passes every line that it prints through `scrub`, which takes out
of others' errors also what tells nobody anything.
"""

from __future__ import annotations

import contextlib
import json
import re
import urllib.parse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MASK = "***"
_known: set[str] = set()

# Any URL with user information, known to us or not: everything between the scheme and the last @ before
# a slash, question mark or blank is hidden but the user's name. Of the scheme its last letter is enough: to look for
# its first one takes a minute in a word of 100,000 letters, such as a value written in hexadecimal.
_USERINFO = re.compile(r"(?P<scheme>[a-zA-Z0-9+.\-]://)(?P<user>[^:/?#\s@'\"]*):(?P<secret>[^\s'\"]*)@")
_KEYWORD = re.compile(
    r"(?P<key>\b(?:password|passwd|pgpassword|sslpassword)\b\s*[=:]\s*)('[^']*'|\"[^\"]*\"|[^\s&'\",)]+)",
    re.IGNORECASE,
)

# Where an object lay in memory, as Python shows it: another one at each run. In HTML the bracket is escaped.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]{6,}(?=>|&gt;)")


def remember(secret: str | None) -> None:
    """Keep a secret in this process's memory, so that `scrub` hides it in every spelling.

    Spellings: as given, percent-decoded, percent-encoded, quoted for a program, and the piece after a raw `@` or `/`, which
    libpq prints as a host or a port when a password was not encoded. Secrets of fewer than three characters
    are hidden only where their position gives them away (a URL, `password=`).
    """
    if not secret:
        return
    spellings = {
        secret,
        urllib.parse.unquote(secret),
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote(secret),
        urllib.parse.quote_plus(secret),
        # As SQLAlchemy writes it into a URL.
        urllib.parse.quote(secret, safe=" +"),
        # In a Python or JSON string, an SQL literal, a libpq connection string.
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        secret.replace("'", "''"),
        secret.replace("\\", "\\\\").replace("'", "\\'"),
    }
    for mark in "@/:?#%":
        spellings |= {piece for piece in secret.split(mark) if len(piece) >= 4}
    _known.update(spelling for spelling in spellings if len(spelling) >= 3)


def scrub(text: str) -> str:
    """Return the text without any password, and without the addresses of objects: the same fault is the same line."""
    text = without_passwords(text)
    return _ADDRESS.sub("", text) if " at 0x" in text else text


def without_passwords(text: str) -> str:
    """Return the text without any password: the remembered ones, and those that stand in a URL or `password=`.

    For what is run, not only read (a script of SQL): nothing else of it may change.
    """
    # Few texts hold either: two looks for a piece of it spare most of them a pattern's walk from character to character.
    if "://" in text:
        text = _USERINFO.sub(rf"\g<scheme>\g<user>:{MASK}@", text)
    if "passw" in text.casefold():
        text = _KEYWORD.sub(rf"\g<key>{MASK}", text)
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def remember_in(text: str) -> None:
    """Keep whatever stands where a URL has its password in this text (an environment variable, an ini's value).

    Everything up to the last `@` is taken: where the password holds a raw one, more is hidden, never less.
    """
    # A URL may hold a blank, and a text more than one URL.
    for pattern in (r"://[^\s:/@]*:([^\s]*)@", r"://[^\s:/@]*:([^\r\n]*)@"):
        for found in re.finditer(pattern, text):
            remember(found.group(1))
    for found in _KEYWORD.finditer(text):
        remember(found.group(2).strip("'\""))


@contextlib.contextmanager
def remembering_nothing() -> Iterator[None]:
    """Forget at the block's end what was remembered in it.

    For whoever reads a thousand URLs and prints nothing of them: each password would be looked for in every line.
    """
    before = set(_known)
    try:
        yield
    finally:
        _known.intersection_update(before)
