"""In how many processes a compiled graph of OpenVINO answers wrongly, by how many streams it has.

python tests/benchmarks/openvino_streams.py GRAPH PACKAGES [--processes 30]

GRAPH is resources/models/…/onnxruntime-float32/model.onnx of a finished run, PACKAGES resources/environments/openvino.
Each process compiles the graph once for two threads, as one graph of two streams or as two of one stream, and has two
threads of its own run batches of random pixels on it, whose answers are held against those of one stream alone. Prints
how many processes had wrong ones. Some six seconds a process on ViT-B/16.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

BATCHES, BATCH_SIZE, ROUNDS = 4, 8, 2
# A logit that is farther off than this share of the largest one is no rounding.
WRONG = 0.01


def answers(graph: str, packages: str, graphs: int, streams: int) -> list[list]:
    """The logits of each batch in each round, of so many compiled graphs with so many streams each."""
    sys.path.append(packages)
    import numpy
    import openvino

    pixels = numpy.random.default_rng(0).standard_normal((BATCHES, BATCH_SIZE, 3, 224, 224), numpy.float32)
    # Two threads that make the first tensor of a process at the same time wait for each other for ever.
    openvino.Tensor(numpy.zeros(1, numpy.float32), shared_memory=True)
    core = openvino.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": streams,
        "ENABLE_HYPER_THREADING": True,
        "ENABLE_CPU_PINNING": False,
    }
    requests: SimpleQueue = SimpleQueue()
    for _ in range(graphs):
        compiled = core.compile_model(graph, "CPU", settings)
        for _ in range(streams):
            requests.put(compiled.create_infer_request())

    def answer(batch: numpy.ndarray) -> numpy.ndarray:
        request = requests.get()
        request.start_async([batch], share_inputs=True)
        request.wait()
        logits = request.get_tensor("logits").data.copy()
        requests.put(request)
        return logits

    with ThreadPoolExecutor(graphs * streams) as pool:
        return [list(pool.map(answer, pixels)) for _ in range(ROUNDS)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graph")
    parser.add_argument("packages")
    parser.add_argument("--processes", type=int, default=30)
    parser.add_argument(
        "--one", nargs=3, metavar=("GRAPHS", "STREAMS", "RIGHT"), help="one process, as this makes them"
    )
    asked = parser.parse_args()
    import numpy

    if asked.one:
        graphs, streams, right = int(asked.one[0]), int(asked.one[1]), Path(asked.one[2])
        found = numpy.array(answers(asked.graph, asked.packages, graphs, streams))
        if not right.exists():
            numpy.save(right, found[0])
        true = numpy.load(right)
        raise SystemExit(int(abs(found - true).max() > WRONG * abs(true).max()))
    with tempfile.TemporaryDirectory() as folder:
        right = f"{folder}/right.npy"
        command = [sys.executable, __file__, asked.graph, asked.packages, "--one"]
        subprocess.run([*command, "1", "1", right], check=True)
        wrong = {(1, 2): 0, (2, 1): 0}
        for _ in range(asked.processes):
            # In turns, so that both meet the same machine.
            for graphs, streams in wrong:
                wrong[graphs, streams] += subprocess.run([*command, str(graphs), str(streams), right]).returncode == 1
        for (graphs, streams), count in wrong.items():
            print(f"graphs {graphs}, streams {streams}: wrong in {count} of {asked.processes} processes")


if __name__ == "__main__":
    main()
