"""Verdicts: what a comparison says, in fixed words (docs/methodology.md, "Statistics")."""

FASTER, SLOWER, EQUIVALENT = "faster", "slower", "equivalent"
INCONCLUSIVE, TOO_FEW = "inconclusive", "too few repeats"
# There is no ratio: other labels, or faster than the machine can be.
PARITY_FAILED, IMPOSSIBLE = "parity failed", "impossible"
WITHOUT_RATIO = (PARITY_FAILED, IMPOSSIBLE)

DIFFERENT = (FASTER, SLOWER)
# What says something of the two cells, and what an interval stands behind.
CLAIMS = (*DIFFERENT, EQUIVALENT)
JUDGED = (*CLAIMS, INCONCLUSIVE)
# What more blocks may decide.
UNDECIDED = (INCONCLUSIVE, TOO_FEW)
