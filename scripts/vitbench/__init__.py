"""The library of vitbench: it measures, compares and presents; nothing in it imports Snakemake."""

import os

# ONNX Runtime 1.32 reports its use to Microsoft from native threads as soon as a session is made, unless told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
