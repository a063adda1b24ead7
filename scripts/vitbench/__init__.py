"""The library of vitbench: it measures, compares and presents; nothing in it imports Snakemake."""

import os
import sys

# ONNX Runtime 1.32 reports its use to Microsoft from native threads as soon as a session is made, unless told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# torch's profiler tells on standard error of its own begin and end, and of each GPU library that it does not find.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")
# Where this is installed, as with Jupyter, jsonschema compiles 38 grammars when it is imported: a second in each
# process, for a format (`iri`) that no schema of ours names. To jsonschema it is not there.
sys.modules.setdefault("rfc3987_syntax", None)
