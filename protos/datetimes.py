"""Datetimes as payloads and filters write them, to microseconds since the epoch, UTC.

Lives here: the accepted forms (reference 10.2). May not live here: a clock.
A form without an offset means UTC; digits beyond microseconds are cut off; a leap second counts as
the next second.
"""

from __future__ import annotations

import calendar
import re
from typing import Final

from protos.errors import MalformedBody

_FORM: Final = re.compile(
    r"""\s*(?P<year>[+-][0-9]{1,6}|[0-9]{1,4})-\s*(?P<month>[0-9]{1,2})-\s*(?P<day>[0-9]{1,2})
    (?:(?P<separator>[Tt]|\s)\s*(?P<hour>[0-9]{1,2}):\s*(?P<minute>[0-9]{1,2})
        (?::\s*(?P<second>[0-9]{1,2})(?:\.(?P<fraction>[0-9]+))?
            (?:\s*(?P<utc>[Zz]|UTC)|\s*(?P<sign>[+\-−])(?P<off_h>[0-9][0-9])[:\s]*(?P<off_m>[0-9][0-9])?)?
        )?
    )?""",
    re.VERBOSE,
)
_MICROS: Final = 1_000_000
_YEAR_MAX: Final = 262_142
_MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def parse_datetime(text: str) -> int | None:
    """Return microseconds since the epoch, or None if ``text`` has no accepted form."""
    form = _FORM.fullmatch(text)
    if form is None:
        return None
    if form["separator"] == "t" and not (form["utc"] or form["off_m"]):
        return None  # in lower case only in RFC 3339's own form, whose offset is complete
    days = _days_since_epoch(int(form["year"]), int(form["month"]), int(form["day"]))
    seconds = _seconds_of_day(int(form["hour"] or 0), int(form["minute"] or 0), int(form["second"] or 0))
    offset = _offset_seconds(form)
    if days is None or seconds is None or offset is None:
        return None
    micros = int((form["fraction"] or "")[:6].ljust(6, "0"))
    return (days * 86_400 + seconds - offset) * _MICROS + micros


def decode_datetime(text: str) -> int:
    """As ``parse_datetime``. Raises: MalformedBody."""
    micros = parse_datetime(text)
    if micros is None:
        example = "Example: 2014-01-01T00:00:00Z"
        raise MalformedBody(f"'{text}' does not match accepted datetime format (RFC3339). {example}")
    return micros


def format_datetime(micros: int) -> str:
    """The text that ``parse_datetime`` makes ``micros`` of, in any year."""
    days, rest = divmod(micros, 86_400 * _MICROS)
    seconds, fraction = divmod(rest, _MICROS)
    year, month, day = _date_of(days)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:06}"
    shown = f"{year:04}" if 0 <= year <= 9999 else f"{year:+}"
    return f"{shown}-{month:02}-{day:02}T{clock}Z"


def _date_of(days: int) -> tuple[int, int, int]:
    """The inverse of ``_days_since_epoch``."""
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    return era * 400 + year_of_era + (month <= 2), month, day


def _days_since_epoch(year: int, month: int, day: int) -> int | None:
    if abs(year) > _YEAR_MAX or not 1 <= month <= 12:
        return None
    if not 1 <= day <= _days_in_month(year, month):
        return None
    # Years that start in March put the leap day last; eras of 400 years repeat exactly.
    shifted = year - (month <= 2)
    era, year_of_era = divmod(shifted, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146_097 + day_of_era - 719_468


def _days_in_month(year: int, month: int) -> int:
    return 29 if month == 2 and calendar.isleap(year) else _MONTH_DAYS[month - 1]


def _seconds_of_day(hour: int, minute: int, second: int) -> int | None:
    if hour > 23 or minute > 59 or second > 60:
        return None
    return hour * 3600 + minute * 60 + second


def _offset_seconds(form: re.Match[str]) -> int | None:
    if form["sign"] is None:
        return 0
    hours, minutes = int(form["off_h"]), int(form["off_m"] or 0)
    if hours > 23 or minutes > 59:
        return None
    seconds = hours * 3600 + minutes * 60
    return seconds if form["sign"] == "+" else -seconds
