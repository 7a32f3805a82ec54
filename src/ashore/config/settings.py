"""The settings of one command: what holds, where it was written, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from ashore.config import values
from ashore.config.layers import File, Layer, did_you_mean, read_file, read_flags, read_variables
from ashore.config.secret import Dsn, Secret
from ashore.errors import Problem, SettingsError

Need = Literal["declarations", "postgres", "source"]
_loopback: Final = frozenset({"localhost", "127.0.0.1", "::1"})
everything: Final[frozenset[Need]] = frozenset({"declarations", "postgres", "source"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FromTable:
    """Items come from a table. `read_units` a second (None: no limit); `segments` None: by the table's size."""

    table: str
    read_units: float | None = None
    segments: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FromExport:
    """Items come from an export: a folder, or ``s3://bucket/prefix``."""

    export: str


ItemsFrom = FromTable | FromExport


@dataclass(frozen=True, slots=True, kw_only=True)
class Aws:
    """Which AWS, and who asks it; None: as boto3 finds it."""

    region: str | None
    profile: str | None
    endpoint_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which OpenSearch is fed, and who asks it: signed with AWS credentials, with `login` (user:password), or nobody.

    `login` is None too while the variable `login_env` is not set, which only commands that feed mind.
    """

    endpoint: str
    is_signed: bool
    login_env: str | None
    login: Secret | None
    ca_file: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One setting as `ashore config show` prints it, and where it was written."""

    name: str
    value: str | int | float | None
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a command goes by.

    `declarations`, `postgres` and `items_from` are None only where the command does not need them. `max_rejected` is
    a share, held from `rejected_counted_from` items on; `witness` is items a shape. `markers` says whether a sync may
    write markers to the table: at most `marker_writes` for one moment, at `marker_write_units` a second. Writing back
    takes `write_back_units` a second at most; None: as many as it takes.
    """

    folder: Path
    environment: str | None
    declarations: str | None
    postgres: Dsn | None
    items_from: ItemsFrom | None
    aws: Aws
    workers: int
    max_rejected: float
    rejected_counted_from: int
    witness: int
    lock_timeout_ms: int
    maintenance_work_mem: str | None
    markers: bool
    marker_writes: int
    marker_write_units: float
    write_back_units: float | None
    search: Search | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Settings, each with its origin, and every problem of them."""

    settings: Settings
    shown: tuple[Shown, ...]
    problems: tuple[Problem, ...]


def load_settings(
    folder: Path,
    *,
    environment: str | None,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    needs: frozenset[Need] = everything,
) -> Settings:
    """The settings of a command.

    Args:
        folder: The project's directory.
        environment: The environment that a flag chose, if one did.
        flags: Setting → what its flag said; None where it was not given.
        environ: The process's environment variables.
        needs: What has to be there.

    Raises:
        SettingsError: With every problem that there is.
    """
    resolved = resolve(folder, environment=environment, flags=flags, environ=environ, needs=needs)
    if resolved.problems:
        raise SettingsError(list(resolved.problems))
    return resolved.settings


def resolve(
    folder: Path,
    *,
    environment: str | None,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    needs: frozenset[Need] = everything,
) -> Resolved:
    """As `load_settings`, with the problems beside the settings; nothing is raised."""
    return _Resolver(folder.absolute(), environ, needs).resolve(environment, flags)


class _Resolver:
    """Puts the layers on top of each other."""

    def __init__(self, folder: Path, environ: Mapping[str, str], needs: frozenset[Need]) -> None:
        self._folder = folder
        self._environ = environ
        self._needs = needs
        self._problems: list[Problem] = []
        self._layers: list[Layer] = []
        self._shown: dict[str, Shown] = {}

    def resolve(self, environment: str | None, flags: Mapping[str, Any]) -> Resolved:
        if not self._folder.is_dir():
            what = "there is no such directory"
            self._problems.append(Problem(where=str(self._folder), what=what, hint="give the project's with --project"))
        file = read_file(self._folder)
        self._problems += file.problems
        name = self._environment(environment, file)
        variables, wrong_variables = read_variables(self._environ)
        flag_layer, wrong_flags = read_flags(flags)
        self._problems += [*wrong_variables, *wrong_flags]
        chosen = file.environments.get(name or "", Layer(values=values.Values()))
        defaults = Layer(values=values.defaults, place="default")
        self._layers = [defaults, file.project, chosen, variables, flag_layer]
        settings = self._settings(name, file)
        shown = tuple(self._shown.get(one, Shown(name=one, value=None, origin="not set")) for one in values.names)
        return Resolved(settings=settings, shown=shown, problems=tuple(self._problems))

    def _environment(self, flag: str | None, file: File) -> str | None:
        known = file.environments
        wanted, where = (flag, "--env") if flag else (self._environ.get("ASHORE_ENV") or None, "ASHORE_ENV")
        if wanted is None:
            if file.default_environment is not None:
                return file.default_environment
            if len(known) > 1:
                what = f"several environments are declared: {', '.join(known)}"
                hint = 'choose one with --env NAME, or set default_environment = "NAME" in [project]'
                self._problems.append(Problem(where=str(file.path), what=what, hint=hint))
                return None
            return next(iter(known), None)
        if wanted not in known:
            hint = did_you_mean(wanted, known) or f"declared are: {', '.join(known) or 'none'}"
            self._problems.append(Problem(where=where, what=f"there is no environment {wanted!r}", hint=hint))
            return None
        return wanted

    def _settings(self, environment: str | None, file: File) -> Settings:
        aws = Aws(region=self._take("region"), profile=self._take("profile"), endpoint_url=self._take("endpoint_url"))
        items_from = self._items_from(aws, environment, file)
        return Settings(
            folder=self._folder,
            environment=environment,
            declarations=self._declarations(file),
            postgres=self._postgres(environment, file),
            items_from=items_from,
            aws=aws,
            workers=self._take("workers"),
            max_rejected=self._take("max_rejected"),
            rejected_counted_from=self._take("rejected_counted_from"),
            witness=self._take("witness"),
            lock_timeout_ms=self._take("lock_timeout_ms"),
            maintenance_work_mem=self._take("maintenance_work_mem"),
            markers=bool(self._take("markers")),
            marker_writes=self._take("marker_writes"),
            marker_write_units=self._take("marker_write_units"),
            write_back_units=self._take("write_back_units"),
            search=self._search(),
        )

    def _search(self) -> Search | None:
        endpoint: str | None = self._take("opensearch")
        is_signed, variable = bool(self._take("opensearch_iam")), self._take("opensearch_login_env")
        ca_file: str | None = self._take("opensearch_ca_file")
        if endpoint is None:
            return None
        where = self._shown["opensearch"].origin
        parts = urlsplit(endpoint)
        if parts.scheme == "http" and parts.hostname not in _loopback:
            what = "items would go to OpenSearch unencrypted"
            self._problems.append(Problem(where=where, what=what, hint="begin its address with https://"))
        if is_signed and variable is not None:
            what = "opensearch_iam and opensearch_login_env are both given"
            places = " and ".join(self._shown[name].origin for name in ("opensearch_iam", "opensearch_login_env"))
            self._problems.append(Problem(where=places, what=what, hint="give one of them"))
        login = self._environ.get(variable) if variable is not None else None
        if login is not None and ":" not in login:
            what = f"the environment variable {variable} is not of the form user:password"
            self._problems.append(Problem(where=str(variable), what=what, hint="set it to user:password"))
        return Search(
            endpoint=endpoint,
            is_signed=is_signed,
            login_env=variable,
            login=None if login is None else Secret(login),
            ca_file=None if ca_file is None else self._folder / ca_file,
        )

    def _declarations(self, file: File) -> str | None:
        found: str | None = self._take("declarations")
        if found is None and not self._is_wrong("declarations"):
            hint = f'set declarations = "module:source" in [project] of {file.path}'
            self._missing("declarations", "nothing says where the declarations are", hint, file)
        return found

    def _postgres(self, environment: str | None, file: File) -> Dsn | None:
        name = self._one_of("postgres", "postgres_env")
        if name is None:
            if not self._is_wrong("postgres"):
                hint = f"set postgres or postgres_env in {_heading(environment)} of {file.path}, or ASHORE_POSTGRES"
                self._missing("postgres", "nothing says which database to write to", hint, file)
            return None
        found = self._take(name)
        if isinstance(found, Dsn):
            return found
        variable = str(found)
        text = self._environ.get(variable)
        if not text:
            if "postgres" in self._needs:
                what = f"the environment variable {variable} is not set"
                hint = "set it to the database's address"
                self._problems.append(Problem(where=self._shown[name].origin, what=what, hint=hint))
            return None
        try:
            return Dsn(text)
        except ValueError as error:
            hint = "write it as postgresql://user@host:5432/database"
            self._problems.append(Problem(where=variable, what=str(error), hint=hint))
            return None

    def _items_from(self, aws: Aws, environment: str | None, file: File) -> ItemsFrom | None:
        name = self._one_of("table", "export")
        if name is None:
            if not self._is_wrong("table") and not self._is_wrong("export"):
                hint = f"give --table or --export, or set one of them in {_heading(environment)} of {file.path}"
                self._missing("source", "nothing says which table or export to read", hint, file)
            return None
        rank = self._rank(name)
        if name == "table":
            table: str = self._take("table")
            self._agree_on_region(table, aws)
            return FromTable(table=table, read_units=self._take("read_units"), segments=self._take("segments"))
        for unused in ("read_units", "segments"):
            if self._rank(unused) >= rank:
                origin = self._layers[self._rank(unused)].origin(unused)
                what = f"{unused} is for a table, and an export is read"
                self._problems.append(Problem(where=origin, what=what, hint=f"leave {unused} out, or read a table"))
        export: str = self._take("export")
        if not export.startswith("s3://") and self._layers[rank].place == "ashore.toml":
            export = str(self._folder / export)
        return FromExport(export=export)

    def _agree_on_region(self, table: str, aws: Aws) -> None:
        if table.startswith("arn:") and aws.region is not None:
            parts = table.split(":")
            if len(parts) > 3 and parts[3] != aws.region:
                what = f"the region is {aws.region}, but the table's ARN says {parts[3]}"
                origin = self._shown["region"].origin
                self._problems.append(Problem(where=origin, what=what, hint="correct one, or leave the region out"))

    def _one_of(self, first: str, second: str) -> str | None:
        """Which of two settings holds: the one of the stronger layer. Both in one layer contradict each other."""
        ranks = {name: self._rank(name) for name in (first, second)}
        if ranks[first] == ranks[second] >= 0:
            places = " and ".join(self._layers[rank].origin(name) for name, rank in ranks.items())
            what = f"{first} and {second} are both given"
            self._problems.append(Problem(where=places, what=what, hint="give one of them"))
        strongest = max(ranks, key=lambda name: ranks[name])
        return strongest if ranks[strongest] >= 0 else None

    def _rank(self, name: str) -> int:
        """The place of the strongest layer that says something, -1 if none does."""
        said = [rank for rank, layer in enumerate(self._layers) if getattr(layer.values, name) is not None]
        return said[-1] if said else -1

    def _take(self, name: str) -> Any:
        rank = self._rank(name)
        if rank < 0:
            return None
        value = getattr(self._layers[rank].values, name)
        shown = str(value) if isinstance(value, Dsn) else value
        self._shown[name] = Shown(name=name, value=shown, origin=self._layers[rank].origin(name))
        return value

    def _is_wrong(self, name: str) -> bool:
        """Whether a problem with the setting was told already."""
        spellings = (f": {name}", f"ASHORE_{name.upper()}", f"--{name}")
        return any(problem.where.endswith(spellings) for problem in self._problems)

    def _missing(self, need: Need, what: str, hint: str, file: File) -> None:
        if need in self._needs:
            where = str(file.path) if file.is_there else f"{file.path} (there is no such file)"
            self._problems.append(Problem(where=where, what=what, hint=hint))


def _heading(environment: str | None) -> str:
    return f"[environment.{environment or 'NAME'}]"
