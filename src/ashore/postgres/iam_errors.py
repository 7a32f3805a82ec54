"""What can go wrong with a login by IAM. No error holds a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ashore.postgres.errors import PostgresError


class IamError(PostgresError):
    """No token could be made, or it may not be sent. Nothing was connected."""

    code = "ASH410"
    exit_code = 2


@dataclass(eq=False, kw_only=True)
class CredentialsMissing(IamError):
    """The chain of AWS credentials gives none, or those that it gives cannot be renewed."""

    reason: str

    code: ClassVar[str] = "ASH411"

    def what(self) -> str:
        return f"there are no AWS credentials to sign a token with: {self.reason}"

    def hint(self) -> str:
        return "`aws sts get-caller-identity` has to work in the same environment; name a profile if need be"


@dataclass(eq=False, kw_only=True)
class AddressNotForTokens(IamError):
    """The address leaves open what a token has to say, or names several hosts."""

    server: str
    lacks: str
    remedy: str

    code: ClassVar[str] = "ASH412"

    def what(self) -> str:
        return f"no token can be made for {self.server}: {self.lacks}"

    def hint(self) -> str:
        return self.remedy


@dataclass(eq=False, kw_only=True)
class TokenWouldBeExposed(IamError):
    """The address allows a connection without TLS, on which a token could be read by others."""

    server: str
    sslmode: str

    code: ClassVar[str] = "ASH413"

    def what(self) -> str:
        return f"sslmode={self.sslmode} for {self.server} may connect without TLS, and a token is sent as clear text"

    def hint(self) -> str:
        return "leave sslmode out (then it is verify-full), or use verify-full, verify-ca or require"


@dataclass(eq=False, kw_only=True)
class AuthoritiesMissing(IamError):
    """The certificates of RDS are signed by authorities of Amazon's own, and their bundle was not found."""

    looked_in: tuple[str, ...]

    code: ClassVar[str] = "ASH414"

    def what(self) -> str:
        return f"Amazon's authorities for RDS were not found in {', '.join(self.looked_in)}"

    def hint(self) -> str:
        return (
            "`ashore connect --fetch-ca` fetches the bundle once; or name a file with sslrootcert=PATH"
            " (sslrootcert=system for RDS Proxy, whose certificates are public)"
        )


@dataclass(eq=False, kw_only=True)
class BundleNotFetched(IamError):
    """Amazon's bundle of authorities could not be fetched, or is none. The file that was there stays."""

    url: str
    reason: str

    code: ClassVar[str] = "ASH415"

    def what(self) -> str:
        return f"{self.url} could not be fetched: {self.reason}"

    def hint(self) -> str:
        return "fetch it on a machine that reaches it, and name the file with sslrootcert=PATH"


@dataclass(eq=False, kw_only=True)
class GlobalEndpointUnresolved(IamError):
    """A token is signed for one region, and where the writer of a global database is could not be found out."""

    host: str
    reason: str

    code: ClassVar[str] = "ASH416"

    def what(self) -> str:
        return f"the regional cluster behind {self.host} was not found: {self.reason}"

    def hint(self) -> str:
        return (
            "allow rds:DescribeGlobalClusters and rds:DescribeDBClusters, or say which cluster to sign for"
            " (sign_for in the address)"
        )


@dataclass(eq=False, kw_only=True)
class TokenRefused(IamError):
    """The server refused a fresh token. The reason is in the server's log alone."""

    server: str
    user: str
    reason: str

    code: ClassVar[str] = "ASH417"

    def what(self) -> str:
        return f"{self.server} refused the token of role {self.user}: {self.reason}"

    def hint(self) -> str:
        return (
            "the role needs rds_iam (`ashore users check`), the IAM identity needs rds-db:connect on the resource id"
            " (cluster-… or db-…, not the name), the database needs IAM authentication on, and the clock must be right"
        )
