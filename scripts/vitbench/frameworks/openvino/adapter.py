"""OpenVINO: the exported graph on batches that are prepared as for ONNX Runtime, several at a time.

A slot is what it is there (`vitbench.frameworks.onnxruntime.adapter`): a thread that takes the next batch, prepares it
and has the graph run on it. Each slot has a compiled graph of its own, with one stream of the slot's threads: where
several streams share one, a stream answered wrongly from its first batch on in some processes (docs/upstream.md). The
precision is always said: left to itself, OpenVINO takes bfloat16 wherever the processor has it.
"""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any

from vitbench import processor
from vitbench.frameworks import Unavailable
from vitbench.frameworks.onnxruntime import adapter
from vitbench.frameworks.openvino import LIBRARY, proof
from vitbench.frameworks.openvino.snippets import HINTS
from vitbench.inputs import packages


class Adapter(adapter.Adapter):
    library, package = LIBRARY, "openvino"

    def start(self) -> None:
        super().start()
        if self.task.variant["precision"] == "bfloat16" and not processor.multiplies_bfloat16():
            raise Unavailable("this cpu has no products in bfloat16: leave the variant out")

    def import_engine(self) -> None:
        packages.use(self.task.packages)
        import openvino  # noqa: F401

    def open(self, model: str) -> None:
        import numpy
        import openvino

        # Two threads that make the first tensor of a process at the same time wait for each other for ever: the
        # bindings set something up then, and let go of Python's lock meanwhile (2026.4.1; docs/upstream.md).
        openvino.Tensor(numpy.zeros(1, numpy.float32), shared_memory=True)
        self.core = openvino.Core()
        graph = self.core.read_model(model)
        # One for each slot: a request works on one batch at a time. Compiled one after another, and each has answered
        # before two of them work at the same time.
        requests = [self._request(graph) for _ in range(self.slots)]
        self._check_answers(requests, [1, *(each.get_length() for each in graph.input(0).partial_shape[1:])])
        self.requests: SimpleQueue[Any] = SimpleQueue()
        for request in requests:
            self.requests.put(request)

    def options(self) -> dict[str, Any]:
        """The settings of this variant's compiled graph; all else as OpenVINO has it."""
        return {
            "INFERENCE_PRECISION_HINT": HINTS[self.task.variant["precision"]],
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": self.threads,
            # A core is what the system shows as one. A pinned thread would wait for a slot that decodes on its core.
            "ENABLE_HYPER_THREADING": True,
            "ENABLE_CPU_PINNING": False,
        }

    def compiled_of(self, model: Any) -> Any:
        """A graph as this variant runs it."""
        return self.core.compile_model(model, "CPU", self.options())

    def _request(self, graph: Any) -> Any:
        """A request of a compiled graph of its own.

        Raises:
            Unavailable: OpenVINO took other streams or threads than were asked for.
        """
        self.compiled = self.compiled_of(graph)
        for name in ("NUM_STREAMS", "INFERENCE_NUM_THREADS"):
            wanted, taken = self.options()[name], int(self.compiled.get_property(name))
            if taken != wanted:
                raise Unavailable(f"OpenVINO took {taken} for {name}, not {wanted}: its time means nothing")
        return self.compiled.create_infer_request()

    @staticmethod
    def _check_answers(requests: list[Any], shape: list[int]) -> None:
        """Raise Unavailable where two slots answer the same image differently."""
        import numpy

        image = numpy.random.default_rng(0).standard_normal(shape, numpy.float32)
        first, *others = [request.infer([image])["logits"] for request in requests]
        if not all(numpy.allclose(first, other, rtol=1e-3, atol=1e-3) for other in others):
            raise Unavailable(
                "OpenVINO answers the same image differently in two of its slots: its labels mean nothing"
            )

    def forward(self, pixels: Any) -> Any:
        request = self.requests.get()
        try:
            request.start_async({"pixel_values": pixels}, share_inputs=True)
            request.wait()
            # The request writes its next answer into the same memory.
            return request.get_tensor("logits").data.copy()
        finally:
            self.requests.put(request)

    def multiply(self, product: bytes, given: Any) -> Any:
        return self.compiled_of(self.core.read_model(product))({"given": given})["out"]

    def proven(self) -> dict[str, Any]:
        return proof.proven(self, self.task.variant["precision"])
