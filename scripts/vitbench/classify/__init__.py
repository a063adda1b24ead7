"""Labelling images, many of them: by the adapter that the benchmark measures, in parts, each whole or not there.

`choice` says by what, `folder` what a job is and where its labels lie, `job` runs it from outside and `worker` is the
process that labels.
"""
