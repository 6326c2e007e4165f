"""``vecraft token`` against a real node that asks for keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live import LiveNode
from vecraft.cli import main

pytestmark = pytest.mark.slow

KEY = "0123456789abcdef0123456789abcdef"


def test_a_token_lets_its_bearer_do_what_it_says_until_it_is_revoked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("VECRAFT_API_KEY", raising=False)
    secured = {"VECRAFT__SERVICE__API_KEY": KEY, "VECRAFT__SERVICE__JWT_RBAC": "true"}
    (tmp_path / "key").write_text(KEY)
    with LiveNode(tmp_path / "node", environment=secured) as node:
        url, manager = ["--url", node.url], ["--api-key-file", str(tmp_path / "key")]
        for name in ("docs", "other"):
            assert main(["collection", "create", name, "--size", "2", *url, *manager]) == 0
        assert main(["collection", "list", *url]) == 1
        capsys.readouterr()
        assert main(["token", "create", "--collection", "docs=r", "--id", "t1", *manager]) == 0
        (tmp_path / "token").write_text(capsys.readouterr().out)
        bearer = ["--api-key-file", str(tmp_path / "token")]
        assert main(["collection", "info", "docs", *url, *bearer]) == 0
        assert main(["collection", "info", "other", *url, *bearer]) == 1
        assert main(["collection", "delete", "docs", "--yes", *url, *bearer]) == 1
        assert main(["token", "revoke", "t1", *url, *manager]) == 0
        assert main(["collection", "info", "docs", *url, *bearer]) == 1
        assert main(["token", "revoked", *url, *manager]) == 0
        assert "t1" in capsys.readouterr().out
        assert main(["token", "restore", "t1", *url, *manager]) == 0
        assert main(["collection", "info", "docs", *url, *bearer]) == 0
