"""What can be wrong with a segment, or with building one. None of it reaches a client as it is."""

from __future__ import annotations

from pathlib import Path


class SegmentError(Exception):
    """Base."""


class SegmentIncomplete(SegmentError):
    """The directory has no manifest: it was never finished."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        super().__init__(f"segment {directory} has no manifest")


class SegmentCorrupted(SegmentError):
    """A file is not what was written. ``offset`` is where the damaged block starts."""

    def __init__(self, file: Path, offset: int, reason: str) -> None:
        self.file, self.offset, self.reason = file, offset, reason
        super().__init__(f"{file} at byte {offset}: {reason}")


class SegmentFull(SegmentError):
    """Rows were appended past the capacity, or to a sealed segment; nothing was written."""


class BuildFailed(SegmentError):
    """The builder ended without a segment; the target directory does not exist."""


class BuildTooLarge(BuildFailed):
    """The build would need more memory than it may use; nothing was started."""

    def __init__(self, needed: int, limit: int) -> None:
        self.needed, self.limit = needed, limit
        super().__init__(f"the build needs {needed} bytes of memory, its limit is {limit}")
