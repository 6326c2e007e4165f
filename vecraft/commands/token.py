"""Tokens (JWT) for those who may not have the API key: what they may do, where, for which tenant, until when.

vecraft token create --collection docs=rw --tenant org=acme --expires 30d --id acme-1 --api-key-file key
vecraft token revoke acme-1

`create` needs no server: a token is signed with the API key, and with no other. Servers take tokens with
`service.jwt_rbac`.
"""

from __future__ import annotations

import argparse
import time

import msgspec
from msgspec import Struct

from router.auth.access import Match, ValueExists
from router.auth.claims import BadClaims, Claims, CollectionClaim
from router.auth.tokens import SECRET_BYTES_MIN, mint
from vecraft.client import path_of
from vecraft.commands.options import connect, duration_s, endpoint, server_options, subcommand
from vecraft.commands.output import note, print_json, show, table
from vecraft.exits import MISUSED, OK, CommandFailed

LEVELS = ("r", "rw", "prw")
DEFAULT_EXPIRY = "24h"


class _Revoked(Struct, frozen=True):
    id: str
    revoked_at: int
    note: str


class _AllRevoked(Struct, frozen=True):
    keys: list[_Revoked]


def configure(parser: argparse.ArgumentParser) -> None:
    server = server_options()
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _configure_create(subcommand(commands, "create", _create, "sign a token with the API key", server))
    revoked = subcommand(commands, "revoke", _revoke, "make tokens with an id useless", server)
    revoked.add_argument("id")
    revoked.add_argument("--note", default="", metavar="TEXT", help="why")
    restored = subcommand(commands, "restore", _restore, "take a revocation back", server)
    restored.add_argument("id")
    subcommand(commands, "revoked", _list, "show the ids that are revoked", server)


def _configure_create(create: argparse.ArgumentParser) -> None:
    create.add_argument(
        "--access",
        choices=("r", "m"),
        help="everywhere: r reads, m manages. Without it, name collections",
    )
    create.add_argument(
        "--collection",
        action="append",
        default=[],
        type=_collection,
        metavar="NAME=LEVEL",
        help="r reads, rw also writes, prw reads and writes points alone; repeatable",
    )
    create.add_argument(
        "--tenant",
        action="append",
        default=[],
        type=_match,
        metavar="KEY=VALUE",
        help="only points whose payload has this value, in all of the collections; repeatable",
    )
    create.add_argument(
        "--expires",
        type=_duration,
        default=DEFAULT_EXPIRY,
        metavar="DURATION",
        help=f"after it is made: 90s, 15m, 24h, 30d or never ({DEFAULT_EXPIRY})",
    )
    create.add_argument("--id", metavar="ID", help="by which it can be revoked")
    create.add_argument("--subject", metavar="TEXT", help="whose it is, for the audit log")
    create.add_argument(
        "--while",
        dest="while_",
        action="append",
        default=[],
        type=_condition,
        metavar="COLLECTION:KEY=VALUE",
        help="good only while such a point exists; repeatable, of one collection",
    )


def _create(options: argparse.Namespace) -> int:
    secret = endpoint(options).api_key
    if secret is None:
        raise CommandFailed(
            "a token is signed with the API key: VECRAFT_API_KEY or --api-key-file", status=MISUSED
        )
    claims = claims_of(options, now_s=int(time.time()))
    try:
        token = mint(secret, claims)
    except BadClaims as error:
        raise CommandFailed(str(error), status=MISUSED) from error
    if options.json:
        print_json({"token": token, "claims": claims})
    else:
        print(token)
        if len(secret.encode()) < SECRET_BYTES_MIN:
            note(f"the API key has fewer than {SECRET_BYTES_MIN} bytes: it can be guessed from this token")
    return OK


def claims_of(options: argparse.Namespace, *, now_s: int) -> Claims:
    """Raises: CommandFailed if options exclude each other."""
    if (options.access is None) == (not options.collection):
        raise CommandFailed("give either --access or --collection", status=MISUSED)
    if options.tenant and not options.collection:
        raise CommandFailed("--tenant needs --collection", status=MISUSED)
    tenant = tuple(options.tenant) or None
    entries = tuple(CollectionClaim(name, level, tenant) for name, level in options.collection)
    return Claims(
        exp=None if options.expires is None else now_s + options.expires,
        access=options.access or entries,
        value_exists=_value_exists(options.while_),
        subject=options.subject,
        jti=options.id,
    )


def _value_exists(conditions: list[tuple[str, Match]]) -> ValueExists | None:
    """Raises: CommandFailed."""
    if not conditions:
        return None
    names = {name for name, _ in conditions}
    if len(names) > 1:
        raise CommandFailed("--while names several collections", status=MISUSED)
    return ValueExists(names.pop(), tuple(match for _, match in conditions))


def _revoke(options: argparse.Namespace) -> int:
    with connect(options) as client:
        client.call("PUT", path_of("keys", "revoked", options.id), bool, {"note": options.note})
    print_json(True) if options.json else note(f"revoked {options.id}")
    return OK


def _restore(options: argparse.Namespace) -> int:
    with connect(options) as client:
        client.call("DELETE", path_of("keys", "revoked", options.id), bool)
    print_json(True) if options.json else note(f"restored {options.id}")
    return OK


def _list(options: argparse.Namespace) -> int:
    with connect(options) as client:
        found = client.get("/keys/revoked", _AllRevoked).keys
    if options.json:
        print_json(found)
    else:
        rows = [(each.id, _date(each.revoked_at), each.note) for each in found]
        show(table(("id", "revoked (UTC)", "note"), rows))
    return OK


def _date(unix_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(unix_ms / 1000))


# --- values of arguments ---------------------------------------------------------------------------------


def _collection(text: str) -> tuple[str, str]:
    name, _, level = text.rpartition("=")
    if not name or level not in LEVELS:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=LEVEL with a level of {', '.join(LEVELS)}")
    return name, level


def _match(text: str) -> Match:
    """Numbers and true, false as such, all else as texts; quotes make texts of them."""
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    try:
        return Match(key, msgspec.json.decode(value, type=bool | int | str))
    except msgspec.DecodeError:
        return Match(key, value)


def _condition(text: str) -> tuple[str, Match]:
    collection, separator, match = text.partition(":")
    if not collection or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not COLLECTION:KEY=VALUE")
    return collection, _match(match)


def _duration(text: str) -> int | None:
    """Seconds; None: for ever."""
    return None if text == "never" else duration_s(text)
