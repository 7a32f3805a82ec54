"""Who signs: whatever AWS credentials the process has, as they are at the moment."""

from __future__ import annotations

import threading
from typing import Protocol

from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from ashore.postgres.iam.signing import SigningKey
from ashore.postgres.iam_errors import CredentialsMissing


class CredentialSource(Protocol):
    """Gives the credentials that hold now; called for every new connection, so it has to be quick where it can."""

    def __call__(self) -> SigningKey: ...


class Chain:
    """The chain of boto3: roles that are assumed one after another, web identities (IRSA, CI), ECS, Lambda, SSO, keys.

    Sessions of roles are renewed by botocore before they end, so a token is never signed with one that is about to.

    Source: https://docs.aws.amazon.com/boto3/latest/guide/credentials.html
    """

    def __init__(self, *, profile: str | None = None) -> None:
        self._profile = profile
        self._lock = threading.Lock()
        self._found: Credentials | None = None

    def __call__(self) -> SigningKey:
        """The credentials that hold now.

        Raises:
            CredentialsMissing: There are none, or AWS does not renew them.
        """
        try:
            if self._found is None:
                with self._lock:
                    self._found = Session(profile=self._profile).get_credentials()
            if self._found is None:
                raise CredentialsMissing(reason="no profile, role, container or variable gives any")
            return self._found.get_frozen_credentials()
        except (BotoCoreError, ClientError) as error:
            raise CredentialsMissing(reason=str(error)) from None
