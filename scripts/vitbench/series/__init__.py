"""The published series: its numbers, its claims, and what of them our records replicate."""
