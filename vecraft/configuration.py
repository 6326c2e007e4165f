"""From files, variables and flags to ``Settings``.

Lives here: the layers, their merging, and the checks that name the key, the value and where it came
from. May not live here: what the settings mean. Nothing here reads the process's environment by
itself: the caller passes it, so that tests need none.
"""

from __future__ import annotations

import difflib
import tomllib
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
import yaml
from msgspec import Struct

from vecraft.settings import KEY_ALIASES, Settings

PREFIXES = ("QDRANT__", "VECRAFT__")
SUFFIXES = (".yaml", ".yml", ".json", ".toml")


class ConfigurationError(Exception):
    """The configuration cannot be used; the text names every reason."""


class Given(Struct, frozen=True):
    """A value as somebody wrote it, and where."""

    value: Any
    origin: str


class Membership(Struct, frozen=True, kw_only=True):
    """What the command line says about the cluster to be of (reference 6.2): flags, not settings."""

    uri: str | None = None
    bootstrap: tuple[str, ...] = ()
    reinit: bool = False
    rejoin: bool = False


class RestoreFirst(Struct, frozen=True, kw_only=True):
    """Snapshots to recover before anything is served (reference 13.7): flags, not settings.

    ``collections``: files and the names their collections are to have; ``storage``: a file of all of them.
    ``force``: collections that exist are replaced.
    """

    collections: tuple[tuple[Path, str], ...] = ()
    storage: Path | None = None
    force: bool = False


class Loaded(Struct, frozen=True):
    settings: Settings
    warnings: list[str]
    sources: list[str]
    membership: Membership = Membership()
    restore_first: RestoreFirst = RestoreFirst()


Tree = dict[str, Any]  # nested; the leaves are Given


def load(
    *, directory: Path, environ: Mapping[str, str], config_path: Path | None, flags: Tree | None = None
) -> Loaded:
    """Read every layer and return the settings.

    Args:
        directory: the working directory, which may hold ``config/``.
        flags: values of command line flags, nested like the settings.
    Raises: ConfigurationError listing every value of a wrong type and every unreadable file.
    """
    tree: Tree = {}
    sources: list[str] = []
    for origin, values in _layers(directory, environ, config_path):
        sources.append(origin)
        _merge(tree, values, origin)
    _merge_environment(tree, environ)
    _merge(tree, flags or {}, "command line")
    reader = _Reader()
    settings = reader.section(Settings, tree, path="")
    if reader.errors:
        raise ConfigurationError("\n".join(reader.errors))
    return Loaded(settings, reader.warnings, sources)


def _layers(
    directory: Path, environ: Mapping[str, str], config_path: Path | None
) -> Iterator[tuple[str, Tree]]:
    for stem in ("config", environ.get("RUN_MODE", "development"), "local"):
        for suffix in SUFFIXES:
            path = directory / "config" / f"{stem}{suffix}"
            if path.is_file():
                yield f"config/{path.name}", _read(path)
    if config_path is not None:
        if not config_path.is_file():
            raise ConfigurationError(f"configuration file {config_path} does not exist")
        yield str(config_path), _read(config_path)


def _read(path: Path) -> Tree:
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"configuration file {path} cannot be read: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigurationError(f"configuration file {path} must hold a map of sections")
    return values


def _merge(tree: Tree, values: Tree, origin: str) -> None:
    for raw, value in values.items():
        key = KEY_ALIASES.get(str(raw).lower(), str(raw).lower())
        if isinstance(value, dict):
            branch = tree.get(key)
            if not isinstance(branch, dict):
                branch = tree[key] = {}
            _merge(branch, value, origin)
        elif value is not None or not isinstance(tree.get(key), dict):
            tree[key] = Given(value, origin)  # an empty section is no value


def _merge_environment(tree: Tree, environ: Mapping[str, str]) -> None:
    for prefix in PREFIXES:
        for name in sorted(environ):
            if not name.upper().startswith(prefix):
                continue
            values: Tree = {}
            branch = values
            *sections, key = name[len(prefix) :].split("__")
            for section in sections:
                branch = branch.setdefault(section, {})
            branch[key] = environ[name]
            _merge(tree, values, f"variable {name}")


class _Reader:
    """Walks a settings struct beside the tree of given values and collects what is wrong."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def section(self, kind: type[Any], tree: Tree, path: str) -> Any:
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        self._report_unknown(tree, list(fields), path)
        values = {}
        for name, field in fields.items():
            if name in tree:
                found = self._field(field.type, tree[name], f"{path}{name}")
                if found is not _DEFAULT:
                    values[field.name] = found
        return kind(**values)

    def _report_unknown(self, tree: Tree, known: list[str], path: str) -> None:
        for key in tree:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
                hint = f"; the nearest known key is {path}{near[0]}" if near else ""
                self.warnings.append(f"{path}{key} ({_origin(tree[key])}) is not a known setting{hint}")

    def _field(self, kind: Any, given: Any, path: str) -> Any:
        if isinstance(kind, type) and issubclass(kind, Struct):
            if isinstance(given, dict):
                return self.section(kind, given, f"{path}.")
            return (
                _DEFAULT if given.value in (None, "") else self._wrong(path, given, "a section of settings")
            )
        if isinstance(given, dict):
            given = Given(_plain(given), _origin(given))
        return self._leaf(kind, given, path)

    def _leaf(self, kind: Any, given: Given, path: str) -> Any:
        bare = _without_bounds(kind)
        try:
            value = _convert(given.value, bare)
        except msgspec.ValidationError:
            return self._wrong(path, given, _describe(bare))
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            self.warnings.append(
                f"{path} = {given.value!r} ({given.origin}) is out of bounds and the default is used: {error}"
            )
            return _DEFAULT

    def _wrong(self, path: str, given: Given, expected: str) -> Any:
        self.errors.append(f"{path} = {given.value!r} ({given.origin}) must be {expected}")
        return _DEFAULT


_DEFAULT = object()


def _convert(value: Any, kind: Any) -> Any:
    """Convert as configuration files are read: ``"6333"`` is a number where a number is wanted, and
    ``api_key: 12345`` is a text where a text is wanted."""
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        if isinstance(value, int | float) and _accepts_text(kind):
            return str(value)
        if isinstance(value, str) and _accepts_map(kind):
            return msgspec.convert(yaml.safe_load(value), kind)
        raise


def _accepts_text(kind: Any) -> bool:
    return kind is str or str in get_args(kind)


def _accepts_map(kind: Any) -> bool:
    return any(get_origin(part) is dict for part in (kind, *get_args(kind)))


def _without_bounds(kind: Any) -> Any:
    """The type without ``Meta``, so that a wrong type and a value out of bounds tell apart."""
    if get_origin(kind) is Annotated:
        return _without_bounds(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return Union[tuple(_without_bounds(part) for part in get_args(kind))]  # noqa: UP007 - built at run time
    return kind


def _describe(kind: Any) -> str:
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    parts = []
    for part in get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,):
        if get_args(part) and get_origin(part) is not dict:
            parts.append("one of " + ", ".join(str(choice) for choice in get_args(part)))
        elif part is not type(None):
            parts.append(words.get(part, "a map"))
    return " or ".join(parts)


def _plain(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items()}
    return tree.value if isinstance(tree, Given) else tree


def _origin(given: Any) -> str:
    while isinstance(given, dict):
        given = next(iter(given.values()), Given(None, "empty section"))
    return str(given.origin)
