"""Tokens: what they say, how long they are kept, and that they are never shown."""

from __future__ import annotations

import logging
import pickle
import re
import string
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from ashore.config.address import IamSettings, parse, with_defaults
from ashore.config.secret import Dsn, Secret
from ashore.local.rds.verifying import Endpoint, Identity, refusal
from ashore.postgres.authorities import root_certificate
from ashore.postgres.endpoints import global_cluster_of, region_of
from ashore.postgres.iam import IamLogin, Target, Token, Tokens
from ashore.postgres.iam.credentials import Chain
from ashore.postgres.iam.dialling import dialling
from ashore.postgres.iam.signing import sign
from ashore.postgres.iam_errors import (
    AddressNotForTokens,
    AuthoritiesMissing,
    CredentialsMissing,
    TokenWouldBeExposed,
)

HOST = "court.cluster-abc123def456.us-east-1.rds.amazonaws.com"
KEY = ReadOnlyCredentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)
ROLE_KEY = ReadOnlyCredentials("ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "IQoJ/b3+Jp==")
TARGET = Target(host=HOST, port=5432, user="app", region="us-east-1")
ENDPOINT = Endpoint(host=HOST, port=5432, region="us-east-1", resource_id="cluster-ABC")
NOON = 1_700_000_000.0


def boto3_token(target: Target, key: ReadOnlyCredentials) -> str:
    client = boto3.client(
        "rds",
        region_name=target.region,
        aws_access_key_id=key.access_key,
        aws_secret_access_key=key.secret_key,
        aws_session_token=key.token,
    )
    return str(client.generate_db_auth_token(DBHostname=target.host, Port=target.port, DBUsername=target.user))


def signed_at(token: str) -> float:
    found = re.search(r"X-Amz-Date=(\w+)", token)
    assert found
    return datetime.strptime(found[1], "%Y%m%dT%H%M%S%z").timestamp()


CLIENTS = {
    key.access_key: boto3.client(
        "rds",
        region_name="us-east-1",
        aws_access_key_id=key.access_key,
        aws_secret_access_key=key.secret_key,
        aws_session_token=key.token,
    )
    for key in (KEY, ROLE_KEY)
}


@given(
    host=st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z0-9]{1,10}){0,3}", fullmatch=True),
    port=st.integers(1, 65_535).filter(lambda port: port != 443),
    user=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=63),
    key=st.sampled_from([KEY, ROLE_KEY]),
)
def test_a_token_is_boto3s_to_the_letter(host: str, port: int, user: str, key: ReadOnlyCredentials) -> None:
    expected = CLIENTS[key.access_key].generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user)
    target = Target(host=host, port=port, user=user, region="us-east-1")

    assert expected == sign(target, key, signed_at(expected)).reveal()


@pytest.mark.parametrize("region", ["us-east-1", "us-gov-west-1", "cn-north-1", "ap-southeast-4"])
def test_a_token_is_boto3s_in_every_region(region: str) -> None:
    target = Target(host=HOST, port=5432, user="app", region=region)
    expected = boto3_token(target, ROLE_KEY)

    assert expected == sign(target, ROLE_KEY, signed_at(expected)).reveal()


def reason(token: str, *, now: float = NOON, user: str = "app", **identity: Any) -> str | None:
    identities = [Identity(key=KEY, **identity), Identity(key=ROLE_KEY, **identity)]
    return refusal(token, user=user, endpoint=ENDPOINT, identities=identities, now=now)


@pytest.mark.parametrize("key", [KEY, ROLE_KEY], ids=["user", "role"])
def test_the_endpoint_takes_what_boto3_signs(key: ReadOnlyCredentials) -> None:
    token = boto3_token(TARGET, key)
    assert reason(token, now=signed_at(token)) is None


@given(place=st.integers(0, 10_000), letter=st.sampled_from(string.ascii_letters + string.digits + "%&=-/+"))
def test_a_token_of_which_anything_was_changed_is_refused(place: int, letter: str) -> None:
    token = sign(TARGET, ROLE_KEY, NOON).reveal()
    place %= len(token)
    changed = token[:place] + letter + token[place + 1 :]
    is_hex_of_same = changed.lower() == token.lower() and "%" in token[max(0, place - 2) : place + 1]
    is_same = changed == token or is_hex_of_same
    assert is_same or reason(changed) is not None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda token: token.removeprefix("court"), "it is for .cluster"),
        (lambda _: "", "it is no token"),
        (lambda _: "hunter2", "it is no token"),
        (lambda token: token + "&Action=connect", "it is no token"),
        (lambda token: token.replace("Expires=900", "Expires=90000"), "it claims to be valid for too long"),
        (lambda token: token.replace("Action=connect", "Action=drop"), "it is for something else"),
        (lambda token: token.replace("rds-db", "dsql"), "it is signed in another way"),
        (lambda token: token.replace("AKIAIOSFODNN7", "AKIAIOSFODNN8"), "its access key is unknown"),
        (lambda token: token + "&X-Amz-Security-Token=x", "its session token is not the access key's"),
        (lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"), "its signature is wrong"),
        (lambda token: token[:-3] + "%C3", "its signature is wrong"),
    ],
)
def test_the_endpoint_knows_why_a_token_is_refused(change: Callable[[str], str], expected: str) -> None:
    found = reason(change(sign(TARGET, KEY, NOON).reveal()))
    assert found is not None
    assert found.startswith(expected)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, None), (899, None), (900, "it expired 0 s ago"), (-299, None), (-301, "it is dated in the future")],
)
def test_a_token_holds_for_a_quarter_of_an_hour(seconds: float, expected: str | None) -> None:
    assert expected == reason(sign(TARGET, KEY, NOON).reveal(), now=NOON + seconds)


@pytest.mark.parametrize(
    ("allowed", "is_let_in"),
    [
        ("*", True),
        ("arn:aws:rds-db:us-east-1:123456789012:dbuser:cluster-ABC/app", True),
        ("arn:aws:rds-db:*:*:dbuser:*/a?p", True),
        ("arn:aws:rds-db:us-east-1:123456789012:dbuser:court/app", False),
        ("arn:aws:rds-db:us-east-1:123456789012:dbuser:cluster-ABC/ap", False),
        ("arn:aws:rds-db:us-west-2:123456789012:dbuser:cluster-ABC/app", False),
        ("arn:aws:rds:us-east-1:123456789012:cluster:court", False),
    ],
)
def test_a_policy_names_the_resource_id(allowed: str, is_let_in: bool) -> None:
    found = reason(sign(TARGET, KEY, NOON).reveal(), may_connect=[allowed])
    assert is_let_in == (found is None)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def test_a_token_is_kept_for_fourteen_and_a_half_minutes() -> None:
    clock = Clock()
    tokens = Tokens(credentials=lambda: KEY, clock=clock)
    first = tokens.token(TARGET)
    clock.now += 869.9
    second = tokens.token(TARGET)
    clock.now += 0.1
    third = tokens.token(TARGET)

    assert (False, True, False) == (first.was_kept, second.was_kept, third.was_kept)
    assert first.secret == second.secret
    assert first.secret != third.secret
    assert clock.now + 900 == third.expires_at


def test_a_clock_that_was_set_back_makes_no_old_token_good() -> None:
    clock = Clock()
    tokens = Tokens(credentials=lambda: KEY, clock=clock)
    first = tokens.token(TARGET)
    clock.now -= 3_600
    assert first.secret != tokens.token(TARGET).secret


@pytest.mark.parametrize(
    "other",
    [
        Target(host="x", port=5432, user="app", region="us-east-1"),
        Target(host=HOST, port=5433, user="app", region="us-east-1"),
        Target(host=HOST, port=5432, user="other", region="us-east-1"),
        Target(host=HOST, port=5432, user="app", region="us-west-2"),
    ],
    ids=["host", "port", "user", "region"],
)
def test_tokens_are_kept_apart_by_what_they_say(other: Target) -> None:
    tokens = Tokens(credentials=lambda: KEY, clock=Clock())
    assert tokens.token(TARGET).secret != tokens.token(other).secret
    assert tokens.token(TARGET).was_kept


def test_new_credentials_make_a_new_token() -> None:
    keys = [KEY, ROLE_KEY, ReadOnlyCredentials(ROLE_KEY.access_key, ROLE_KEY.secret_key, "renewed")]
    tokens = Tokens(credentials=lambda: keys[0], clock=Clock())
    made = set()
    while keys:
        made.add(tokens.token(TARGET).secret.reveal())
        keys.pop(0) if len(keys) > 1 else keys.clear()
    assert 3 == len(made)


def test_a_refused_token_is_replaced_and_its_replacement_kept() -> None:
    clock = Clock()
    tokens = Tokens(credentials=lambda: KEY, clock=clock)
    tokens.token(TARGET)
    clock.now += 60
    kept = tokens.token(TARGET)
    fresh = tokens.token(TARGET, refused=kept)
    assert (True, False) == (kept.was_kept, fresh.was_kept)
    assert kept.secret != fresh.secret
    assert fresh.secret == tokens.token(TARGET).secret
    assert fresh.secret == tokens.token(TARGET, refused=kept).secret, "another thread has replaced it already"


def test_a_secret_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    token = Token(secret=Secret("hush"), made_at=NOON, was_kept=False)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("x").debug("%s %r %s", token.secret, token, {"password": token.secret})
    shown = f"{token} {token!r} {token.secret} {token.secret!r} {[token.secret]} {caplog.text}"
    assert "hush" not in shown
    assert "***" in shown
    assert Secret("hush") == pickle.loads(pickle.dumps(Secret("hush")))
    assert Secret("hush") != Secret("Hush")
    assert "hush" != Secret("hush")


def test_botocores_debug_log_holds_nothing_of_what_is_signed(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        boto3.set_stream_logger("botocore", logging.DEBUG)
        secret = Tokens(credentials=lambda: ROLE_KEY, clock=Clock()).token(TARGET).secret.reveal()
        logging.getLogger("botocore").handlers.clear()
    assert secret.rpartition("=")[2] not in caplog.text
    assert "b3%2BJp" not in caplog.text


@pytest.mark.parametrize(
    ("host", "region"),
    [
        (HOST, "us-east-1"),
        ("court.cluster-ro-abc123.us-west-2.rds.amazonaws.com", "us-west-2"),
        ("court.cluster-custom-abc123.us-gov-west-1.rds.amazonaws.com", "us-gov-west-1"),
        ("court-1.abc123.eu-central-1.rds.amazonaws.com", "eu-central-1"),
        ("court.proxy-abc123.us-east-1.rds.amazonaws.com", "us-east-1"),
        ("read.endpoint.proxy-abc123.us-east-1.rds.amazonaws.com", "us-east-1"),
        ("court.abc123.rds.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("COURT.ABC123.US-EAST-1.RDS.AMAZONAWS.COM", "us-east-1"),
        ("court.global-abc123.global.rds.amazonaws.com", None),
        ("db.example.org", None),
        ("us-east-1.rds.amazonaws.com.example.org", None),
        ("10.0.0.1", None),
    ],
)
def test_an_endpoints_name_says_its_region(host: str, region: str | None) -> None:
    assert region == region_of(host)


def test_the_writer_endpoint_of_a_global_database_is_known() -> None:
    assert "court" == global_cluster_of("court.global-abc123.global.rds.amazonaws.com")
    assert global_cluster_of(HOST) is None


def test_an_address_for_iam_is_libpqs_with_three_parameters_more() -> None:
    text = "postgresql+iam://a%40b@h:5433/d?connect_timeout=3&region=us-east-1&sign_for=x%3A5432&profile=p"
    found = parse(text)
    assert {"user": "a@b", "host": "h", "port": "5433", "dbname": "d", "connect_timeout": "3"} == found.parameters
    assert IamSettings(region="us-east-1", sign_for="x:5432", profile="p") == found.iam
    assert parse("postgresql://u@h/d").iam is None
    assert "hush" not in str(Dsn("postgresql+iam://u:hush@h/d?region=us-east-1"))
    assert "(IAM, region=us-east-1)" in str(Dsn("postgresql+iam://u:hush@h/d?region=us-east-1"))
    with pytest.raises(ValueError, match="is not an address"):
        Dsn("postgresql+iam://u@h/d?no_such_parameter=1")


@pytest.mark.parametrize(
    "text",
    [
        "postgresql+iam://app@h/d?region=us-east-1",
        "postgresql+iam://app@h/d",
        "postgresql+iam://app@h/d?connect_timeout=3",
        "postgresql://app@h/d",
        "host=h user=app dbname=d",
    ],
)
def test_defaults_are_added_to_any_address_and_replace_nothing(text: str) -> None:
    before = parse(text)
    after = parse(with_defaults(text, {"connect_timeout": "9", "options": "-c a=b c"}))
    assert {"connect_timeout": "9", "options": "-c a=b c", **before.parameters} == after.parameters
    assert before.iam == after.iam


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and cache of its own, without certificates."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("PGSSLMODE", "PGSSLROOTCERT", "PGHOST", "PGUSER", "PGPORT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_tls_is_verified_in_full_with_amazons_authorities(home: Path) -> None:
    with pytest.raises(AuthoritiesMissing, match="fetch-ca"):
        dialling(parse(f"postgresql+iam://app@{HOST}/court"))
    bundle = home / "cache" / "ashore" / "rds-global-bundle.pem"
    bundle.parent.mkdir(parents=True)
    bundle.touch()
    found = dialling(parse(f"postgresql+iam://app@{HOST}/court")).parameters
    assert ("verify-full", str(bundle)) == (found["sslmode"], found["sslrootcert"])
    assert "system" == root_certificate("court.proxy-abc123.us-east-1.rds.amazonaws.com")


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_an_address_that_may_send_a_token_in_the_clear_is_refused(mode: str) -> None:
    with pytest.raises(TokenWouldBeExposed, match=f"sslmode={mode}"):
        IamLogin(f"postgresql+iam://app@{HOST}/court?sslmode={mode}")


@pytest.mark.parametrize(
    ("address", "lacks"),
    [
        ("postgresql+iam:///court?user=app", "it has no host"),
        ("postgresql+iam://app@/court?host=/run/postgresql", "it has no host"),
        (f"postgresql+iam://app@{HOST},b/court", "it has several hosts"),
        (f"postgresql+iam://{HOST}/court", "it names no role"),
        (f"postgresql+iam://app@localhost/court?sign_for={HOST}:x", "is no port"),
    ],
)
def test_an_address_says_what_a_token_needs(address: str, lacks: str, home: Path) -> None:
    with pytest.raises(AddressNotForTokens, match=lacks):
        IamLogin(address)


def test_a_name_without_a_region_needs_one(home: Path) -> None:
    address = "postgresql+iam://app@db.example.org/court?sslrootcert=x"
    tokens = Tokens(credentials=lambda: KEY, clock=Clock())
    with pytest.raises(AddressNotForTokens, match="does not say the region"):
        IamLogin(address, tokens=tokens).token()
    assert "eu-west-1" == IamLogin(f"{address}&region=eu-west-1", tokens=tokens).target().region


def test_a_chain_without_credentials_says_so() -> None:
    with pytest.raises(CredentialsMissing, match="aws sts get-caller-identity"):
        Chain()()
    with pytest.raises(CredentialsMissing, match="no-such-profile"):
        Chain(profile="no-such-profile")()
