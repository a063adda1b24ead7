"""Verdicts: what a comparison says, in fixed words (docs/methodology.md, "Statistics")."""

FASTER, SLOWER, EQUIVALENT = "faster", "slower", "equivalent"
INCONCLUSIVE, TOO_FEW = "inconclusive", "too few repeats"
# There is no ratio: other labels, or faster than the machine can be.
PARITY_FAILED, IMPOSSIBLE = "parity failed", "impossible"

# The two differ; it is said which way, or that they do not; an interval says it, or that it cannot; more blocks may.
DIFFERENT = (FASTER, SLOWER)
CLAIMS = (*DIFFERENT, EQUIVALENT)
JUDGED = (*CLAIMS, INCONCLUSIVE)
UNDECIDED = (INCONCLUSIVE, TOO_FEW)
