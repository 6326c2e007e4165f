"""A small client of the REST API, for the command line.

Lives here: connections, credentials, the envelope, what goes wrong and whether to try again. May not live
here: what commands do with an answer, printing.

Of our own, because the official client would bring pydantic and more than half a second to every command,
and decodes every point that an export only passes on. It stands on urllib3: connections shared by threads,
retries that heed ``Retry-After``, and nothing more. Answers are decoded into the structs that callers name,
of which only the fields that they read are declared; ``msgspec.Raw`` passes on what nobody reads.

Errors::

    ClientError
      Unreachable     nobody answers at the URL, or not in time
      Refused         the server said no, and why (``status``, ``message``)
      BadAnswer       what answers does not speak this API
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, urlencode

import msgspec
import urllib3
from msgspec import Struct
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.util import Url, parse_url

from vecraft import __version__

BUSY = frozenset({429, 503})  # try again later; nothing was applied
UNDECIDED = frozenset({408})  # it may have been applied: to be repeated only where that does no harm
BACKOFF_S = 0.25  # before the second try, then doubled
BACKOFF_S_MAX = 15.0
CHUNK_BYTES = 1 << 20

T = TypeVar("T")


class ClientError(Exception):
    """The text is one line that says what was asked, what happened and, where it is known, what to do."""


class Unreachable(ClientError):
    pass


class Refused(ClientError):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message} (HTTP {status})")
        self.status = status
        self.message = message


class BadAnswer(ClientError):
    pass


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where a server is and how to speak to it.

    Attributes:
        timeout_s: for an answer to begin, and then for each part of it.
        ca_cert: a file of certificates to trust; None: those of the system.
        verify: check who the server is; not to be given up but for one on this very machine.
        certificate, key: files by which this client shows who it is; the key may be in the first.
    """

    url: str
    api_key: str | None = None
    timeout_s: float = 30.0
    ca_cert: Path | None = None
    verify: bool = True
    certificate: Path | None = None
    key: Path | None = None


class _Envelope(Struct, frozen=True):
    result: msgspec.Raw = msgspec.Raw(b"null")


class _Told(Struct, frozen=True):
    error: str


class _Failure(Struct, frozen=True):
    status: _Told


_failures = msgspec.json.Decoder(_Failure)
_envelopes = msgspec.json.Decoder(_Envelope)


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class Client:
    """One server. May be used from several threads.

    Args:
        connections: kept open at most; threads beyond wait for one.
        tries: of a request that the server is too busy for, whose outcome is unknown or that reaches nobody.
            More than one only for requests that may be repeated.
    """

    def __init__(self, endpoint: Endpoint, *, connections: int = 1, tries: int = 1) -> None:
        check_url(endpoint.url)
        if not endpoint.verify:  # whoever said so knows
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self.url = endpoint.url.rstrip("/")
        retry = urllib3.Retry(
            total=tries - 1,
            backoff_factor=BACKOFF_S,
            backoff_max=BACKOFF_S_MAX,
            backoff_jitter=BACKOFF_S,
            status_forcelist=BUSY | UNDECIDED,
            allowed_methods=None,  # whoever asks for several tries repeats what may be repeated
            respect_retry_after_header=True,
            raise_on_status=False,
        )
        headers = {"User-Agent": f"vecraft/{__version__}"}
        if endpoint.api_key:
            headers["api-key"] = endpoint.api_key
        self._pool = urllib3.PoolManager(
            num_pools=1,
            maxsize=connections,
            block=True,
            headers=headers,
            retries=retry,
            timeout=endpoint.timeout_s,
            cert_reqs="CERT_REQUIRED" if endpoint.verify else "CERT_NONE",
            ca_certs=str(endpoint.ca_cert) if endpoint.ca_cert else None,
            cert_file=str(endpoint.certificate) if endpoint.certificate else None,
            key_file=str(endpoint.key) if endpoint.key else None,
        )

    def close(self) -> None:
        self._pool.clear()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- requests --------------------------------------------------------------------------------------

    def get(self, path: str, kind: type[T], **query: Any) -> T:
        return self.call("GET", path, kind, **query)

    def call(self, method: str, path: str, kind: type[T], body: object = None, **query: Any) -> T:
        """The ``result`` of an answer, as ``kind``. ``body``: what msgspec makes JSON of; bytes as they are.

        Raises: Unreachable, Refused, BadAnswer.
        """
        content = body if isinstance(body, bytes | None) else msgspec.json.encode(body)
        answer = self._request(method, path, content, query)
        try:
            return msgspec.json.decode(_envelopes.decode(answer.data).result, type=kind)
        except msgspec.DecodeError as error:
            raise BadAnswer(f"{self.url}{path} did not answer as expected: {error}") from error

    def text(self, path: str) -> str:
        """Of an endpoint without an envelope. Raises: Unreachable, Refused."""
        return self._request("GET", path, None, {}).data.decode(errors="replace")

    @contextmanager
    def download(self, path: str) -> Iterator[tuple[Iterator[bytes], int | None]]:
        """The body in parts of at most ``CHUNK_BYTES``, and its length if the server says it.

        Raises: Unreachable, Refused, also while it is read.
        """
        answer = self._request("GET", path, None, {}, preload_content=False)
        try:
            length = answer.headers.get("Content-Length")
            yield self._parts(answer), int(length) if length else None
        finally:
            answer.close()

    def upload(self, path: str, file: Readable, length: int, *, name: str, **query: Any) -> bool:
        """Send a file as the multipart field ``snapshot``. Raises: Unreachable, Refused, BadAnswer."""
        boundary = f"vecraft-{secrets.token_hex(16)}"
        disposition = f'form-data; name="snapshot"; filename="{quote(name)}"'
        head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n"
        head += "Content-Type: application/octet-stream\r\n\r\n"
        tail = f"\r\n--{boundary}--\r\n"
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(head) + length + len(tail)),
        }
        parts = _multipart(head.encode(), file, tail.encode())
        answer = self._request("POST", path, parts, query, headers=headers)
        try:
            return msgspec.json.decode(_envelopes.decode(answer.data).result, type=bool)
        except msgspec.DecodeError as error:
            raise BadAnswer(f"{self.url}{path} did not answer as expected: {error}") from error

    # --- how -------------------------------------------------------------------------------------------

    def _parts(self, answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        try:
            yield from answer.stream(CHUNK_BYTES)
        except HTTPError as error:
            raise Unreachable(f"{self.url} broke off: {_reason(error)}") from error

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None,
        query: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        preload_content: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        given = {name: _shown(value) for name, value in query.items() if value is not None}
        url = f"{self.url}{path}" + (f"?{urlencode(given)}" if given else "")
        own = headers or ({"Content-Type": "application/json"} if body is not None else {})
        try:
            answer = self._pool.request(
                method,
                url,
                body=body,
                headers={**self._pool.headers, **own},
                preload_content=preload_content,
                redirect=False,
            )
            if answer.status >= 300:
                raise Refused(answer.status, _told(answer.data) or _silent(answer.status, method, path))
        except HTTPError as error:
            raise Unreachable(f"no answer from {self.url}: {_reason(error)}") from error
        except OSError as error:  # files of certificates
            raise ClientError(f"cannot speak to {self.url}: {error}") from error
        return answer


def check_url(url: str) -> None:
    """Raises: ClientError unless it is the URL of a server."""
    try:
        parts = parse_url(url)
    except LocationParseError:
        parts = Url()
    if parts.scheme not in ("http", "https") or not parts.host:
        raise ClientError(f"{url!r} is no URL of a server; one looks like http://localhost:6333")


def path_of(*parts: object) -> str:
    """A path whose parts are escaped: ``path_of("collections", name)``."""
    return "".join(f"/{quote(str(part), safe='')}" for part in parts)


def _multipart(head: bytes, file: Readable, tail: bytes) -> Iterator[bytes]:
    yield head
    while part := file.read(CHUNK_BYTES):
        yield part
    yield tail


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _told(body: bytes) -> str:
    """Why a server refused: from its envelope, or the text that stands there; "" if it says nothing."""
    try:
        return _failures.decode(body).status.error
    except msgspec.DecodeError:
        text = body.decode(errors="replace").strip()
        return text.splitlines()[0][:200] if text else ""


def _silent(status: int, method: str, path: str) -> str:
    """Routes that a server has not are answered without a body."""
    if status in (404, 405):
        return f"the server has no {method} {path}; it may be of another version"
    return "refused without a reason"


def _reason(error: BaseException) -> str:
    """The innermost words: what wraps them repeats the URL and the pool."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return _reason(reason)
    cause = error.__cause__ or error.__context__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    text = str(error)
    return text.rpartition(": ")[2] if text.startswith("<") or "object at 0x" in text else text
