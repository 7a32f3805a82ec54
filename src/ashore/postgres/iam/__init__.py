"""Logging in to Amazon RDS and Aurora with IAM: tokens instead of passwords, for every driver that Python uses."""

from ashore.config.address import IamSettings
from ashore.postgres.iam.credentials import Chain
from ashore.postgres.iam.login import IamLogin
from ashore.postgres.iam.signing import Target
from ashore.postgres.iam.tokens import Token, Tokens

__all__ = ["Chain", "IamLogin", "IamSettings", "Target", "Token", "Tokens"]
