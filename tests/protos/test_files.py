from pathlib import Path

import pytest

from protos.files import replace_synced


def test_a_file_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retries on a full disk would fill what is left of it with drafts."""

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    (tmp_path / "f.bits").write_bytes(b"old")
    monkeypatch.setattr("protos.files.write_all", full)
    with pytest.raises(OSError, match="No space"):
        replace_synced(tmp_path / "f.bits", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["f.bits"]
    assert (tmp_path / "f.bits").read_bytes() == b"old"
