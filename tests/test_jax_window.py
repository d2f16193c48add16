"""Which JAX is promised to read a program, by the days on which releases appeared."""

import datetime

import pytest

from diffcomp.export.shipped_models import ModelError
from diffcomp.exported_programs import jax_window
from diffcomp.exported_programs.jax_window import Days

TODAY = datetime.date(2026, 11, 29)


def days(first: str, last: str) -> Days:
    return Days(datetime.date.fromisoformat(first), datetime.date.fromisoformat(last))


@pytest.mark.parametrize(
    ("jaxlib", "expected"),
    [
        ("0.10.2", days("2026-05-27", "2026-12-17")),
        ("0.5.3", days("2025-02-26", "2025-09-19")),
        ("0.6.0", days("2025-03-27", "2025-10-17")),
        # Not listed, so newer than all that are: what holds whichever day it was.
        ("99.0", days("2026-11-08", "2027-04-21")),
    ],
)
def test_the_window_is_of_the_release_not_of_the_export(jaxlib, expected) -> None:
    assert jax_window.window(jaxlib, TODAY) == expected


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        ("2026-08-31", 6, "2027-02-28"),
        ("2027-08-31", 6, "2028-02-29"),
        ("2026-10-31", 6, "2027-04-30"),
        ("2026-06-30", 6, "2026-12-30"),
    ],
)
def test_months_end_where_they_end(day, months, expected) -> None:
    later = jax_window._months_later(datetime.date.fromisoformat(day), months)
    assert later.isoformat() == expected


@pytest.mark.parametrize(
    ("exporter", "reader"),
    [
        ("0.10.2", "0.10.2"),
        ("0.10.2", "0.12.0"),
        ("0.8.2", "0.9.0"),
        ("0.9.0", "0.8.3"),  # nine days newer, whatever its number
    ],
)
def test_a_jax_within_the_window_reads(exporter, reader) -> None:
    jax_window.check(exporter, jax_window.window(exporter, TODAY), reader, TODAY)


def test_an_own_release_reads_whatever_the_day() -> None:
    jax_window.check("99.0", jax_window.window("99.0", TODAY), "99.0", datetime.date(2040, 1, 1))


@pytest.mark.parametrize(
    ("exporter", "reader", "when"),
    [
        ("0.10.2", "0.10.0", "2026-04-16"),  # two months older
        ("0.9.0", "0.11.1", "2026-08-17"),  # seven months newer
        ("0.8.2", "99.0", "2026-10-21 or 2026-11-29"),  # of a day that nobody here knows
    ],
)
def test_others_are_refused_with_their_days(exporter, reader, when) -> None:
    readable = jax_window.window(exporter, TODAY)
    with pytest.raises(ModelError) as refused:
        jax_window.check(exporter, readable, reader, TODAY)
    text = str(refused.value)
    assert f"from {readable.first} to {readable.last}; this is jaxlib {reader} of {when}" in text
    assert f"exported with jaxlib {exporter}" in text
