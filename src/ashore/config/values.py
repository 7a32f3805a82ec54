"""The settings that there are, and what each may be: pydantic reads one layer of them at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError

from ashore.config.secret import Dsn

_declarations: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def _dsn(given: Any) -> Dsn:
    if not isinstance(given, str):
        message = "must be text, in quotes"
        raise ValueError(message)  # noqa: TRY004 (pydantic gathers ValueError only)
    return Dsn(given)


def _share(given: Any) -> Any:
    if isinstance(given, str) and given.strip().endswith("%"):
        try:
            return float(given.strip().removesuffix("%")) / 100
        except ValueError:
            message = "must be a share, such as 0.001 or 0.1%"
            raise ValueError(message) from None
    return given


def _endpoint(given: Any) -> Any:
    if isinstance(given, str):
        parts = urlsplit(given)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            message = "must begin with http:// or https:// and name a host"
            raise ValueError(message)
        if parts.username is not None or parts.password is not None:
            message = "must not hold a user or a password"
            raise ValueError(message)
    return given


def _module_and_name(given: Any) -> Any:
    if isinstance(given, str) and _declarations.fullmatch(given) is None:
        message = 'must name a module and the Source in it, as in "court:court"'
        raise ValueError(message)
    return given


Text = Annotated[str, Field(min_length=1)]


class Values(BaseModel):
    """One layer of settings: what a table of `ashore.toml`, the environment or the flags say. None: nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True)

    declarations: Annotated[Text, BeforeValidator(_module_and_name)] | None = Field(
        default=None, description="The module and the `Source` in it, as in `court:court`."
    )
    postgres: Annotated[Dsn, PlainValidator(_dsn)] | None = Field(
        default=None, description="The database to write to: a URI or keywords. Its password is never shown."
    )
    postgres_env: Text | None = Field(
        default=None, description="The name of an environment variable that holds what `postgres` would."
    )
    table: Text | None = Field(default=None, description="The DynamoDB table to read: its name or its ARN.")
    export: Text | None = Field(
        default=None,
        description="The export to read: a folder or `s3://bucket/prefix`. A relative folder in `ashore.toml` is"
        " taken from the project's directory.",
    )
    region: Text | None = Field(default=None, description="The AWS region; otherwise as boto3 finds it.")
    profile: Text | None = Field(default=None, description="The AWS profile; otherwise as boto3 finds credentials.")
    endpoint_url: Annotated[Text, BeforeValidator(_endpoint)] | None = Field(
        default=None, description="Another address for DynamoDB and S3, such as an emulator's."
    )
    read_units: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="The most read units a second to take from the table, all workers together."
    )
    segments: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="How many parts to scan the table in; by default it follows the table's size."
    )
    workers: Annotated[int, Field(ge=1, le=512)] | None = Field(default=None, description="How many processes load.")
    max_rejected: Annotated[float, Field(ge=0, le=1), BeforeValidator(_share)] | None = Field(
        default=None, description='The share of items that may be rejected before a load stops: `0.001`, or `"0.1%"`.'
    )
    rejected_counted_from: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="From how many items read on `max_rejected` is held."
    )
    witness: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="How many items of each shape an independent witness compares in `ashore verify`."
    )
    lock_timeout_ms: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="How long a statement that changes a table waits for its lock, in milliseconds."
    )
    maintenance_work_mem: Annotated[str, Field(pattern=r"^[0-9]+ ?(kB|MB|GB|TB)$")] | None = Field(
        default=None,
        description="PostgreSQL's memory for building a key or an index, such as `512MB`; by default the server's.",
    )
    markers: bool | None = Field(
        default=None, description="Whether a sync may write markers to the table, to see them come back. Needs writing."
    )
    marker_writes: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        default=None, description="The most markers that are written for one moment that has to be passed."
    )
    marker_write_units: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="The most write units a second that markers take; one marker takes two."
    )
    write_back_units: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="The most write units a second that writing back to DynamoDB takes, all workers together.",
    )
    opensearch: Annotated[Text, BeforeValidator(_endpoint)] | None = Field(
        default=None, description="The OpenSearch domain to feed, such as `https://search.example.com`."
    )
    opensearch_iam: bool | None = Field(
        default=None, description="Whether requests to OpenSearch are signed with AWS credentials (SigV4)."
    )
    opensearch_login_env: Text | None = Field(
        default=None, description="The name of an environment variable that holds `user:password` for OpenSearch."
    )
    opensearch_ca_file: Text | None = Field(
        default=None, description="A file of certificates that OpenSearch's is verified with; by default certifi's."
    )


defaults: Final = Values(
    workers=2,
    max_rejected=0.001,
    rejected_counted_from=10_000,
    witness=5,
    lock_timeout_ms=10_000,
    marker_writes=1_000,
    marker_write_units=200,
)
"""What holds where nothing else is said."""

names: Final[tuple[str, ...]] = tuple(Values.model_fields)
"""Every setting, in the order in which they are shown."""


def read(given: Mapping[str, Any], *, typed: bool) -> tuple[Values, list[tuple[str, str]]]:
    """Read one layer; return what is right of it, and (setting, what is wrong) for the rest.

    `typed` says whether the values have types already, as in TOML; otherwise text becomes numbers.
    """
    try:
        return Values.model_validate(dict(given), strict=typed), []
    except ValidationError as error:
        wrong = [(str(one["loc"][0]), _words(one["type"], one.get("ctx", {}), one["msg"])) for one in error.errors()]
    bad = {name for name, _ in wrong}
    return Values.model_validate({name: one for name, one in given.items() if name not in bad}, strict=typed), wrong


def _words(kind: str, context: Mapping[str, Any], message: str) -> str:
    """Pydantic's word for what is wrong, in ours. No word of it holds the value."""
    if kind == "value_error":
        return str(context["error"])
    return _wordings.get(kind, message).format(**context)


UNKNOWN: Final = "there is no such setting"
_wordings: Final = {
    "extra_forbidden": UNKNOWN,
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "string_type": "must be text, in quotes",
    "string_too_short": "is empty",
    "string_pattern_mismatch": "must be a number and a unit, such as 512MB",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}
