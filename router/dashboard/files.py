"""Which files are served under ``/dashboard``, and how a browser has to treat them."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path

from msgspec import Struct

INDEX = "index.html"

# The operating system's table differs between machines, and a module with a wrong type is not run at all.
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
_TEXTUAL = ("text/", "application/json")

_FOR_ANY_PAGE = {"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff"}

# Everything from this node, nothing written into the page. With trusted types a browser refuses any text as
# HTML, wherever it comes from; the one policy is that of the address of a worker.
_OUR_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types worker",
    )
)
_FOR_OURS = {
    **_FOR_ANY_PAGE,
    "Content-Security-Policy": _OUR_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}


class StaticFile(Struct, frozen=True):
    body: bytes
    media_type: str

    @property
    def etag(self) -> str:
        """Weak, since the same file is sent in several encodings."""
        return f'W/"{hashlib.sha256(self.body).hexdigest()[:32]}"'


class StaticFiles(Struct, frozen=True):
    """The files below ``root``. ``headers`` go with each; ``ours``: with the addresses our page expects."""

    root: Path
    headers: dict[str, str]
    ours: bool

    def read(self, path: str) -> StaticFile | None:
        """The file at a relative ``path`` ("" is the index); None if there is none. Blocks.

        Nothing outside ``root`` is read, by ``..`` or by a link.
        """
        if "\0" in path:
            return None
        root = self.root.resolve()
        found = (root / (path or INDEX)).resolve()
        if not found.is_relative_to(root):
            return None
        if found.is_dir():
            found = found / INDEX
        try:
            return StaticFile(found.read_bytes(), _media_type(found))
        except OSError:
            return None


def bundled() -> StaticFiles:
    """Our own dashboard."""
    return StaticFiles(Path(__file__).parent / "static", _FOR_OURS, ours=True)


def configured(*, enabled: bool, directory: str | None) -> StaticFiles | None:
    """What ``service.enable_static_content`` and ``service.static_content_dir`` ask for.

    A directory with an index replaces our dashboard; other pages may need what our policy forbids, so theirs
    is up to them. None: nothing is served.
    """
    if not enabled:
        return None
    if directory and (Path(directory) / INDEX).is_file():
        return StaticFiles(Path(directory), _FOR_ANY_PAGE, ours=False)
    return bundled()


def _media_type(path: Path) -> str:
    kind = _TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith(_TEXTUAL) else kind
