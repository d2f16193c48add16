"""Which releases of JAX are promised to read an exported program.

"A JAX exported artifact can be compiled and executed by a compiler and JAX runtime system that are
up to 6 months newer [or] up to 3 weeks older than the version of JAX used for exporting", where
what matters is when the releases of jaxlib were built, not when somebody exports or runs
(https://docs.jax.dev/en/latest/export/export.html#compatibility-guarantees). jaxlib does not say
when it was built, so the days are listed here.
"""

import datetime
from typing import NamedTuple

from diffcomp.export.shipped_models import ModelError

# Days on which releases of jaxlib were uploaded to PyPI, from the oldest that this package takes.
RELEASES = {
    "0.5.3": "2025-03-19",
    "0.6.0": "2025-04-17",
    "0.6.1": "2025-05-21",
    "0.6.2": "2025-06-17",
    "0.7.0": "2025-07-22",
    "0.7.1": "2025-08-20",
    "0.7.2": "2025-09-16",
    "0.8.0": "2025-10-15",
    "0.8.1": "2025-11-18",
    "0.8.2": "2025-12-18",
    "0.8.3": "2026-01-29",
    "0.9.0": "2026-01-20",
    "0.9.0.1": "2026-02-05",
    "0.9.1": "2026-03-02",
    "0.9.2": "2026-03-18",
    "0.10.0": "2026-04-16",
    "0.10.1": "2026-05-20",
    "0.10.2": "2026-06-17",
    "0.11.0": "2026-07-16",
    "0.11.1": "2026-08-17",
    "0.11.2": "2026-09-17",
    "0.12.0": "2026-10-19",
    "0.12.0.1": "2026-10-21",
}
WEEKS_OLDER = datetime.timedelta(weeks=3)
MONTHS_NEWER = 6


class Days(NamedTuple):
    """From the first day to the last, both included."""

    first: datetime.date
    last: datetime.date


def released(jaxlib: str, today: datetime.date) -> Days:
    """When a release of jaxlib appeared: one day, or a span for one that is not listed.

    Such a one is newer than all that are.
    """
    listed = RELEASES.get(jaxlib)
    if listed is not None:
        day = datetime.date.fromisoformat(listed)
        return Days(day, day)
    newest = datetime.date.fromisoformat(max(RELEASES.values()))
    return Days(newest, max(newest, today))


def window(jaxlib: str, today: datetime.date) -> Days:
    """When another jaxlib must have appeared for the promise to hold for sure.

    >>> window("0.10.2", datetime.date(2026, 7, 1))[1].isoformat()
    '2026-12-17'
    """
    exporter = released(jaxlib, today)
    return Days(exporter.last - WEEKS_OLDER, _months_later(exporter.first, MONTHS_NEWER))


def check(exporter: str, readable: Days, reader: str, today: datetime.date) -> None:
    """Raises ModelError unless jaxlib `reader` is promised to read what jaxlib `exporter` wrote."""
    found = released(reader, today)
    if reader == exporter or (readable.first <= found.first and found.last <= readable.last):
        return
    when = " or ".join(sorted({day.isoformat() for day in found}))
    raise ModelError(
        f"the programs were exported with jaxlib {exporter} and are promised to run with releases"
        f" from {readable.first} to {readable.last}; this is jaxlib {reader} of {when}. Write them"
        " anew from the parameters, or try all the same with any_jax=True."
    )


def _months_later(day: datetime.date, months: int) -> datetime.date:
    """The same day of a later month, or that month's last."""
    years, month = divmod(day.month - 1 + months, 12)
    for last in range(day.day, 27, -1):
        try:
            return day.replace(year=day.year + years, month=month + 1, day=last)
        except ValueError:  # a month of fewer days
            continue
    return day.replace(year=day.year + years, month=month + 1)
