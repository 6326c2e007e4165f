"""What is wrong with an installation: what, why it matters, and the command that mends it.

Run it where a server is started, in the same folder and environment: it reads the same configuration. A
server that runs there, or at --url, is asked how it is. Exit status 0: all is well; 1: warnings; 2: errors.

vecraft doctor
vecraft doctor --json --url https://node-2:6333
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from rich.console import RenderableType
from rich.text import Text

from vecraft.client import Client, ClientError, Endpoint
from vecraft.commands.options import add_server_options, endpoint
from vecraft.commands.output import print_json, show
from vecraft.configuration import Loaded
from vecraft.doctor import configuration, machine, network, server, storage, tls
from vecraft.doctor.findings import Finding, exit_status
from vecraft.settings import Settings

_STYLES = {"warning": "yellow", "error": "red"}


class Examination(Struct, frozen=True):
    """``checked``: the topics that were looked at; ``url``: of the server that was asked, if any."""

    findings: list[Finding]
    checked: list[str]
    url: str | None


def configure(parser: argparse.ArgumentParser) -> None:
    add_server_options(parser)
    parser.add_argument("--config-path", type=Path, metavar="FILE", help="as given to serve")
    parser.add_argument("--offline", action="store_true", help="ask no server")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    found = examine(options)
    if options.json:
        print_json({"exit_status": exit_status(found.findings), "asked": found.url, **_lists(found)})
    else:
        show(*_pictured(found))
    return exit_status(found.findings)


def examine(options: argparse.Namespace) -> Examination:
    loaded, findings = configuration.examine(Path.cwd(), os.environ, options.config_path)
    checked, runs_here = [configuration.CHECK, machine.CHECK], False
    facts = machine.look()
    findings += machine.judge(facts)
    if loaded is not None:
        local, runs_here = _examine_local(loaded.settings)
        findings += local
        checked += [storage.CHECK, network.CHECK, tls.CHECK]
    place = None if options.offline else _place(options, loaded, runs_here=runs_here)
    if place is not None:
        findings += _examine_server(
            place, runs_here=runs_here, named=place.url != _own_url(loaded), facts=facts
        )
        checked += [server.CHECK, server.CLUSTER]
    return Examination(findings, checked, place.url if place else None)


def _examine_local(settings: Settings) -> tuple[list[Finding], bool]:
    """Findings, and whether a server runs on this storage: then its ports are taken, rightly."""
    facts = storage.look(Path(settings.storage.storage_path))
    ports = network.ports_of(settings)
    refused = {} if facts.in_use else network.taken(settings.service.host, ports)
    findings = [
        *storage.judge(facts, clustered=settings.cluster.enabled),
        *network.judge_ports(ports, refused),
        *network.judge_exposure(settings),
        *tls.examine(settings, tls.now_utc()),
    ]
    return findings, facts.in_use


def _place(options: argparse.Namespace, loaded: Loaded | None, *, runs_here: bool) -> Endpoint | None:
    """The server to ask: the one that is named, else the one that runs here."""
    given = endpoint(options)
    if options.url or os.environ.get("VECRAFT_URL"):
        return given
    if loaded is None or not runs_here:
        return None
    settings = loaded.settings
    secured = settings.service.enable_tls
    return replace(
        given,
        url=_own_url(loaded),
        api_key=given.api_key or settings.service.api_key,
        verify=False,  # no certificate is about 127.0.0.1, and who runs there is known by the storage's lock
        certificate=given.certificate or (Path(settings.tls.cert) if secured else None),
        key=given.key or (Path(settings.tls.key) if secured else None),
    )


def _own_url(loaded: Loaded | None) -> str:
    if loaded is None:
        return ""
    service = loaded.settings.service
    host = "127.0.0.1" if service.host in ("0.0.0.0", "::") else service.host  # noqa: S104 - any address is meant
    return f"{'https' if service.enable_tls else 'http'}://{host}:{service.http_port}"


def _examine_server(
    place: Endpoint, *, runs_here: bool, named: bool, facts: machine.MachineFacts
) -> list[Finding]:
    try:
        with Client(place) as client:
            told = server.ask(client)
    except ClientError as error:
        return server.unreachable(error, asked_for=named)
    return server.judge(told, available_bytes=facts.available_bytes if runs_here else None)


def _lists(found: Examination) -> dict[str, list[Finding] | list[str]]:
    return {"findings": found.findings, "checked": found.checked}


def _pictured(found: Examination) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for each in found.findings:
        line = Text.assemble((f"{each.severity:<8}", _STYLES[each.severity]), f"{each.check}: {each.what}")
        lines += [line, Text(f"        why   {each.why}"), Text(f"        mend  {each.mend}\n")]
    concerned = {each.check for each in found.findings}
    well = [check for check in found.checked if check not in concerned]
    if well:
        lines.append(Text.assemble(("well    ", "green"), ", ".join(well)))
    if found.url is None:
        lines.append(Text("        no server was asked; --url names one"))
    return lines
