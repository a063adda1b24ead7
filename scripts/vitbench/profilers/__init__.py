"""Where the time of a pass goes, one module a framework; imported in profiling repeats and nowhere else.

Each has a function `profile(adapter, passes)` for a loaded, warm adapter. It returns
`{"method": text, "passes": [{"seconds": wall, "stages": {stage: seconds}}, …], "details": {…}}` with every stage of
`vitbench.stages.STAGES` in each pass, and leaves the adapter as it found it.
"""
