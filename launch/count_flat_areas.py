"""Counts what `coding/flat_area_tables.py` holds: python launch/count_flat_areas.py FOLDER

Prints, of all pictures in FOLDER, how often a cell of each table repeats each candidate or none,
in 65536ths. Other numbers make another format: files of the old ones can no longer be read.
"""

import sys
from pathlib import Path

import numpy as np
from absl import app

from diffcomp.coding import flat_areas
from diffcomp.coding.cdf_tables import quantize_pmf
from diffcomp.coding.flat_area_tables import CANDIDATES, START_TABLE
from diffcomp.data.image_sources import FolderImages

_LEAST = 0.5  # what each count begins with: nothing is impossible


def main(argv: list[str]) -> None:
    if len(argv) != 2:
        raise app.UsageError("Give the folder of pictures.")
    try:
        source = FolderImages(str(Path(argv[1])))
    except ValueError as error:
        raise app.UsageError(str(error)) from error
    counts = np.zeros((START_TABLE + 1, CANDIDATES + 1), np.int64)
    for index in range(len(source)):
        areas = flat_areas.find_flat_areas(source.read(index))
        for symbols, indexes in flat_areas.symbols_of(areas.numbers) if areas else ():
            np.add.at(counts, (indexes, np.minimum(symbols, CANDIDATES)), 1)
        print(f"\r{index + 1} of {len(source)}", end="", file=sys.stderr)
    for row in counts:
        print(f"    {tuple(np.diff(quantize_pmf(row + _LEAST)).tolist())},")


if __name__ == "__main__":
    app.run(main)
