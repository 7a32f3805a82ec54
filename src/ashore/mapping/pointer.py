"""JSON pointers (RFC 6901) as paths into an item, with one more escape: ``~2`` stands for U+0000.

jsonb cannot hold U+0000 in a key, and DynamoDB allows it in attribute names.
Source: https://www.rfc-editor.org/rfc/rfc6901
"""

from __future__ import annotations


def token(name: str) -> str:
    """One escaped step of a pointer, its leading slash included."""
    if "~" in name or "/" in name or "\0" in name:
        name = name.replace("~", "~0").replace("/", "~1").replace("\0", "~2")
    return "/" + name


def pointer(path: tuple[str, ...]) -> str:
    """The pointer of a path: ``("judge", "userId")`` → ``"/judge/userId"``."""
    return "".join(map(token, path))


def unescape(step: str) -> str:
    """The name that an escaped step, without its slash, stands for."""
    return step.replace("~2", "\0").replace("~1", "/").replace("~0", "~")
