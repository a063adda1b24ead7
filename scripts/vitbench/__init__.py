"""The library of vitbench: it measures, compares and presents; nothing in it imports Snakemake."""

import os

# ONNX Runtime 1.32 reports its use to Microsoft from native threads as soon as a session is made, unless told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# torch's profiler tells on standard error of its own begin and end, and of each GPU library that it does not find.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")
