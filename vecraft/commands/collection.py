"""Collections and their aliases: what there is, what is in it, making and deleting."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from vecraft.client import Client, Refused, path_of
from vecraft.commands.options import connect, positive_number, server_options, subcommand
from vecraft.commands.output import note, print_json, show, table
from vecraft.exits import FAILED, MISUSED, OK, CommandFailed

DISTANCES = ("Cosine", "Dot", "Euclid", "Manhattan")
_COLLECTION_COLUMNS = ("collection", "status", "points", "indexed", "segments", "vectors")

Json = dict[str, Any]


class Named(Struct, frozen=True):
    name: str


class Collections(Struct, frozen=True):
    collections: list[Named]


class Params(Struct, frozen=True):
    vectors: Json = {}
    sparse_vectors: Json = {}
    shard_number: int = 1
    replication_factor: int = 1
    sharding_method: str | None = None


class Config(Struct, frozen=True):
    params: Params


class Indexed(Struct, frozen=True):
    data_type: str
    points: int = 0


class Info(Struct, frozen=True):
    status: str
    config: Config
    points_count: int | None = None
    indexed_vectors_count: int | None = None
    segments_count: int | None = None
    payload_schema: dict[str, Indexed] = {}


class Alias(Struct, frozen=True):
    alias_name: str
    collection_name: str


class Aliases(Struct, frozen=True):
    aliases: list[Alias]


def configure(parser: argparse.ArgumentParser) -> None:
    server = server_options()
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    subcommand(commands, "list", _list, "show all collections", server)
    info = subcommand(
        commands, "info", _info, "show one collection; --json: all that the server says", server
    )
    info.add_argument("name")
    _configure_create(subcommand(commands, "create", _create, "create a collection", server))
    delete = subcommand(commands, "delete", _delete, "delete a collection and its points", server)
    delete.add_argument("name")
    delete.add_argument("--yes", action="store_true", help="without asking")
    _configure_alias(commands.add_parser("alias", help="other names of collections"), server)


def _configure_create(create: argparse.ArgumentParser) -> None:
    create.add_argument("name")
    create.add_argument("--size", type=positive_number, help="dimensions of the unnamed vector")
    create.add_argument("--distance", choices=DISTANCES, default="Cosine", help="of that vector (Cosine)")
    create.add_argument("--shards", type=positive_number, metavar="N", help="how many")
    create.add_argument("--replicas", type=positive_number, metavar="N", help="of each shard")
    create.add_argument(
        "--config",
        metavar="FILE",
        help="a JSON body of PUT /collections/NAME, or what `info --json` printed; - is standard input",
    )


def _configure_alias(alias: argparse.ArgumentParser, server: argparse.ArgumentParser) -> None:
    commands = alias.add_subparsers(metavar="COMMAND", required=True)
    subcommand(commands, "list", _list_aliases, "show all aliases", server)
    create = subcommand(commands, "create", _create_alias, "give a collection another name", server)
    create.add_argument("alias")
    create.add_argument("collection")
    delete = subcommand(commands, "delete", _delete_alias, "take a name away", server)
    delete.add_argument("alias")
    rename = subcommand(commands, "rename", _rename_alias, "exchange a name for another", server)
    rename.add_argument("alias")
    rename.add_argument("new")


# --- collections -----------------------------------------------------------------------------------------


def _list(options: argparse.Namespace) -> int:
    with connect(options) as client:
        names = collection_names(client)
        infos = {name: _info_or_refusal(client, name) for name in names}
    if options.json:
        print_json([{"name": name, **_summary(found)} for name, found in infos.items()])
    else:
        rows = [
            (
                name,
                found.status,
                found.points_count,
                found.indexed_vectors_count,
                found.segments_count,
                ", ".join(vector_texts(found.config.params)),
            )
            for name, found in infos.items()
        ]
        show(table(_COLLECTION_COLUMNS, rows))
    return OK


def _info_or_refusal(client: Client, name: str) -> Info:
    """One collection that cannot be described should not hide the others."""
    try:
        return info(client, name)
    except Refused as error:
        return Info(status=error.message, config=Config(Params()), segments_count=None)


def _summary(found: Info) -> Json:
    return {
        "status": found.status,
        "points_count": found.points_count,
        "indexed_vectors_count": found.indexed_vectors_count,
        "segments_count": found.segments_count,
    }


def _info(options: argparse.Namespace) -> int:
    with connect(options) as client:
        raw = client.get(path_of("collections", options.name), msgspec.Raw)
    if options.json:
        print(bytes(raw).decode())
        return OK
    found = msgspec.json.decode(raw, type=Info)
    params = found.config.params
    facts: list[tuple[str, str | int | None]] = [
        ("status", found.status),
        ("points", found.points_count),
        ("indexed vectors", found.indexed_vectors_count),
        ("segments", found.segments_count),
        ("shards", params.shard_number),
        ("replicas of each", params.replication_factor),
        *(("vector", text) for text in vector_texts(params)),
    ]
    show(table((options.name, ""), [(name, _text(value)) for name, value in facts]))
    if found.payload_schema:
        rows = [(key, schema.data_type, schema.points) for key, schema in found.payload_schema.items()]
        show(table(("payload index", "type", "points"), rows))
    return OK


def _create(options: argparse.Namespace) -> int:
    body = _create_body(options)
    with connect(options) as client:
        client.call("PUT", path_of("collections", options.name), bool, body)
    _done(options, f"created {options.name}")
    return OK


def _create_body(options: argparse.Namespace) -> Json:
    if (options.size is None) == (options.config is None):
        raise CommandFailed("give either --size or --config", status=MISUSED)
    if options.config is None:
        body: Json = {"vectors": {"size": options.size, "distance": options.distance}}
    else:
        body = creation_body(_read_json(options.config))
    if options.shards is not None:
        body["shard_number"] = options.shards
    if options.replicas is not None:
        body["replication_factor"] = options.replicas
    return body


def creation_body(given: Json) -> Json:
    """A body of the creation from one, or from the description of a collection that exists."""
    if "config" not in given:
        return given
    config = dict(given["config"])
    body = {**config.pop("params", {}), **config}
    return {key: value for key, value in body.items() if value is not None}


def _read_json(path: str) -> Json:
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        found: Json = msgspec.json.decode(content, type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise CommandFailed(f"{path} is no JSON object: {error}", status=MISUSED) from error
    return found


def _delete(options: argparse.Namespace) -> int:
    with connect(options) as client:
        points = info(client, options.name).points_count or 0
        if not options.yes:
            confirm(f"Delete {options.name} with about {points:,} points?")
        deleted = client.call("DELETE", path_of("collections", options.name), bool)
    if not deleted:
        raise CommandFailed(f"{options.name} is an alias; delete it by `vecraft collection alias delete`")
    _done(options, f"deleted {options.name}")
    return OK


def confirm(question: str) -> None:
    """Raises: CommandFailed unless somebody at a terminal says yes."""
    if not sys.stdin.isatty():
        raise CommandFailed("nobody can be asked here; give --yes", status=MISUSED)
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandFailed("nothing was done", status=FAILED)


def collection_names(client: Client) -> list[str]:
    return sorted(each.name for each in client.get("/collections", Collections).collections)


def info(client: Client, name: str) -> Info:
    return client.get(path_of("collections", name), Info)


def vector_texts(params: Params) -> list[str]:
    """One text per vector: ``384 Cosine``, ``title: 384 Cosine``, ``words: sparse``."""
    named = {"": params.vectors} if "size" in params.vectors else params.vectors
    dense = [f"{name}: {_dense(vector)}" if name else _dense(vector) for name, vector in named.items()]
    return dense + [f"{name}: sparse" for name in params.sparse_vectors]


def _dense(vector: Json) -> str:
    many = ", several per point" if vector.get("multivector_config") else ""
    datatype = f" {vector['datatype']}" if vector.get("datatype") else ""
    return f"{vector['size']} {vector['distance']}{datatype}{many}"


# --- aliases ---------------------------------------------------------------------------------------------


def _list_aliases(options: argparse.Namespace) -> int:
    with connect(options) as client:
        found = sorted(client.get("/aliases", Aliases).aliases, key=lambda alias: alias.alias_name)
    if options.json:
        print_json(found)
    else:
        show(table(("alias", "collection"), [(each.alias_name, each.collection_name) for each in found]))
    return OK


def _create_alias(options: argparse.Namespace) -> int:
    action = {"collection_name": options.collection, "alias_name": options.alias}
    return _change_aliases(options, {"create_alias": action}, f"{options.alias} is {options.collection}")


def _delete_alias(options: argparse.Namespace) -> int:
    return _change_aliases(
        options, {"delete_alias": {"alias_name": options.alias}}, f"deleted {options.alias}"
    )


def _rename_alias(options: argparse.Namespace) -> int:
    action = {"old_alias_name": options.alias, "new_alias_name": options.new}
    return _change_aliases(options, {"rename_alias": action}, f"{options.alias} is {options.new} now")


def _change_aliases(options: argparse.Namespace, action: Json, told: str) -> int:
    with connect(options) as client:
        client.call("POST", "/collections/aliases", bool, {"actions": [action]})
    _done(options, told)
    return OK


def _done(options: argparse.Namespace, told: str) -> None:
    print_json(True) if options.json else note(told)


def _text(value: str | int | None) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else value
