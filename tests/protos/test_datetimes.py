from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.datetimes import format_datetime, parse_datetime

MIDNIGHT = 1_388_534_400_000_000  # 2014-01-01 UTC


@pytest.mark.parametrize(
    "text",
    [
        "2014-01-01T00:00:00Z",
        "2014-01-01t00:00:00z",
        "2014-01-01 00:00:00Z",
        "2014-01-01T01:00:00+01:00",
        "2014-01-01 01:00:00 +0100",
        "2014-01-01T01:00:00.0+01",
        "2013-12-31T19:00:00.000-0500",
        "2014-01-01 00:00:00 UTC",
        "2014-01-01T00:00:00",
        "2014-01-01T00:00",
        "2014-01-01 00:00",
        "2014-01-01",
        "2014-1-1",
    ],
)
def test_every_accepted_form_names_the_same_instant(text: str) -> None:
    assert parse_datetime(text) == MIDNIGHT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2014",
        "2014-01",
        "20140101",
        "2014-02-30",
        "2014-13-01",
        "2014-01-01T24:00:00",
        "2014-01-01T00:60:00",
        "2014-01-01T00:00Z",
        "2014-01-01T00:00:00.",
        "2014-01-01T00:00:00,5",
        "2014-01-01T00:00:00+25:00",
        "2014-01-01T00:00:00+01:60",
        "2014-01-01 ",
        "12014-01-01",
        "1388534400",
    ],
)
def test_other_texts_are_no_datetime(text: str) -> None:
    assert parse_datetime(text) is None


def test_digits_beyond_microseconds_are_cut_off() -> None:
    assert parse_datetime("2014-01-01T00:00:00.1234569Z") == MIDNIGHT + 123_456
    assert parse_datetime("1969-12-31T23:59:59.9999999Z") == -1


def test_a_leap_second_is_the_next_second() -> None:
    assert parse_datetime("2013-12-31T23:59:60Z") == MIDNIGHT


def test_years_beyond_four_digits_need_a_sign() -> None:
    assert parse_datetime("+12014-01-01") == 316_958_054_400_000_000
    assert parse_datetime("-0001-01-01") == -62_198_755_200_000_000


@given(
    moment=st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)),
    offset=st.integers(-1439, 1439),
)
def test_it_agrees_with_the_standard_library(moment: datetime, offset: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    micros = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert parse_datetime(aware.isoformat()) == micros


@given(st.integers(-8_000_000_000_000_000_000, 8_000_000_000_000_000_000))
def test_what_is_formatted_parses_to_the_same_moment(micros: int) -> None:
    assert parse_datetime(format_datetime(micros)) == micros
