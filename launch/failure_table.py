"""A model beside other codecs of as many bytes: python launch/failure_table.py FOLDER

FOLDER is one of `configs/evaluate_failures.py`, or of any evaluation. Prints a table in Markdown
for the model's card; `--csv=FILE` keeps its rows, which belong beside the model.
"""

import argparse
import sys
from pathlib import Path

from diffcomp.evaluation import failure_table
from diffcomp.evaluation.baselines import BASELINES
from diffcomp.files.atomic_file import FileError


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="--out of an evaluation")
    parser.add_argument(
        "--model", default="", help="its name there (default: the first learned codec)"
    )
    parser.add_argument("--quality", type=float, default=4.0, help="of the model (default: 4)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="the table's rows as data")
    args = parser.parse_args(argv)
    try:
        rows = failure_table.read_rows(args.folder)
        # Rows of baselines that were kept from before come first.
        codecs = (row.codec for row in rows if row.codec not in BASELINES)
        model = args.model or next(codecs, rows[0].codec)
        lines = failure_table.equal_bytes(rows, model, args.quality)
        if args.csv:
            failure_table.write_csv(lines, args.csv)
    except (FileError, ValueError) as error:
        print(f"failure_table: {error}", file=sys.stderr)
        return 1
    print(failure_table.markdown(lines), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
