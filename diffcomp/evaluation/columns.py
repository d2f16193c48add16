"""What the columns of rows and summaries are called, and what their figures mean."""

from collections.abc import Sequence

from diffcomp.evaluation.bd_rate import METHOD
from diffcomp.evaluation.metrics import catalogue

