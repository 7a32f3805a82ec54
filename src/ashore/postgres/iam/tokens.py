"""Tokens, kept for as long as they are good and made anew when they are not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ashore.config.secret import Secret
from ashore.postgres.iam.credentials import Chain, CredentialSource
from ashore.postgres.iam.signing import LIFETIME_SECONDS, SigningKey, Target, sign

KEPT_SECONDS: Final = 870.0
"""14.5 minutes: half a minute is left for connecting, and for clocks that disagree."""

_Key = tuple[Target, str | None, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token. `was_kept` says whether it was made for an earlier connection; `made_at` is in seconds since 1970."""

    secret: Secret
    made_at: float
    was_kept: bool

    @property
    def expires_at(self) -> float:
        """When the server stops taking it, if the credentials do not end before."""
        return self.made_at + LIFETIME_SECONDS


class Tokens:
    """Makes tokens, and keeps each for `KEPT_SECONDS` by what it says and by the credentials that signed it.

    Guarantees:
        - A token that was signed with credentials other than the present ones is never given out, so none outlives the
          session of its role by more than botocore lets that session live.
        - Time is the wall clock's: a process that was frozen, as AWS Lambda does, does not take an old token for new.
        - Safe to share between threads and event loops. Nothing is asked of AWS but to renew credentials.
    """

    def __init__(self, *, credentials: CredentialSource | None = None, clock: Callable[[], float] = time.time) -> None:
        self._credentials = credentials or Chain()
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[_Key, Token] = {}

    def token(self, target: Target, *, refused: Token | None = None) -> Token:
        """A token for a new connection.

        Args:
            target: What it has to say.
            refused: One that the server did not take: another is made in its place.

        Raises:
            CredentialsMissing: See `Chain`.
        """
        key = self._credentials()
        name = (target, key.access_key, key.token)
        now = self._clock()
        with self._lock:
            kept = self._kept.get(name)
            is_good = kept is not None and 0 <= now - kept.made_at < KEPT_SECONDS
            if kept is not None and is_good and (refused is None or kept.secret != refused.secret):
                return kept
            return self._make(name, key, now)

    def _make(self, name: _Key, key: SigningKey, now: float) -> Token:
        target = name[0]
        secret = sign(target, key, now)
        for old in [one for one, token in self._kept.items() if not 0 <= now - token.made_at < KEPT_SECONDS]:
            del self._kept[old]
        self._kept[name] = Token(secret=secret, made_at=now, was_kept=True)
        return Token(secret=secret, made_at=now, was_kept=False)
