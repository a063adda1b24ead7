"""OpenVINO inside Spark's tasks, as a framework that can be measured."""

from __future__ import annotations

from vitbench.frameworks import openvino
from vitbench.frameworks.spark_onnxruntime import in_spark

FRAMEWORK = in_spark(openvino.FRAMEWORK, "#999933", 14)
