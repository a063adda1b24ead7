"""Export a checkpoint as a SavedModel that Spark NLP's TensorFlow 2.7 reads.

A command of its own, run with the Python of envs/tensorflow-export: nothing but the standard library may be imported
from vitbench here.
"""

from __future__ import annotations

import argparse
import atexit
import os
import shutil
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
# Nothing is read from there, and the mere import would make ~/.keras and ~/.cache/huggingface.
os.environ["KERAS_HOME"] = os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="vitbench-")

import numpy
import tensorflow
from google.protobuf.message import Message
from tensorflow.core.protobuf import saved_model_pb2
from transformers import TFAutoModelForImageClassification

from vitbench.errors import exit_with_user_errors
from vitbench.files import staged
from vitbench.inputs.model_assets import FIXED_LOGITS, FIXED_TENSORS, read_possible, write_assets

# TensorFlow 2.12 writes it into the saver's graph; 2.7 does not know it and needs no substitute.
UNKNOWN_TO_2_7 = "DisableCopyOnRead"


def main(checkpoint: Path, folder: Path) -> None:
    """Write `folder`: the SavedModel of `checkpoint`, Spark NLP's assets, and the logits of the fixed tensors."""
    read_possible(checkpoint)
    model = TFAutoModelForImageClassification.from_pretrained(checkpoint, local_files_only=True)

    @tensorflow.function(
        input_signature=[tensorflow.TensorSpec([None, 3, None, None], tensorflow.float32, name="pixel_values")]
    )
    def serving(pixel_values):
        return {"logits": model(pixel_values, training=False).logits}

    with staged(folder) as place:
        # Only the weights and this one function: a Keras model would bring 82 functions more that nobody calls.
        module = tensorflow.Module()
        module.weights, module.serving = model.weights, serving
        tensorflow.saved_model.save(module, str(place), signatures={"serving_default": serving})
        remove_nodes(place / "saved_model.pb", UNKNOWN_TO_2_7)
        # It describes the file before that change, and nothing reads it.
        (place / "fingerprint.pb").unlink()
        write_assets(checkpoint, place)
        # The logits come from the file as it now is, not from the model in memory.
        signature = tensorflow.saved_model.load(str(place)).signatures["serving_default"]
        with numpy.load(checkpoint / FIXED_TENSORS) as fixed:
            pixels = fixed["pixel_values"]
        numpy.save(place / FIXED_LOGITS, signature(pixel_values=tensorflow.constant(pixels))["logits"].numpy())


def remove_nodes(path: Path, operation: str) -> int:
    """Take all nodes of one operation, and all references to them, out of a SavedModel file; return how many."""
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString(path.read_bytes())
    removed = 0
    for meta in saved.meta_graphs:
        graphs = [(meta.graph_def, "node"), *((function, "node_def") for function in meta.graph_def.library.function)]
        removed += sum(_remove_from(graph, field, operation) for graph, field in graphs)
        operations = [known for known in meta.meta_info_def.stripped_op_list.op if known.name != operation]
        _replace(meta.meta_info_def.stripped_op_list, "op", operations)
    path.write_bytes(saved.SerializeToString())
    return removed


def _remove_from(graph: Message, field: str, operation: str) -> int:
    nodes = list(getattr(graph, field))
    gone = {node.name for node in nodes if node.op == operation}
    kept = [node for node in nodes if node.name not in gone]
    for node in kept:
        # Data inputs are "name:slot", control inputs "^name".
        inputs = [name for name in node.input if name.lstrip("^").split(":")[0] not in gone]
        del node.input[:]
        node.input.extend(inputs)
    _replace(graph, field, kept)
    if field == "node_def":
        lost = [key for key, name in graph.control_ret.items() if name in gone]
        for key in lost:
            del graph.control_ret[key]
        outputs = [key for key in graph.signature.control_output if key not in lost]
        del graph.signature.control_output[:]
        graph.signature.control_output.extend(outputs)
    return len(gone)


def _replace(message: Message, field: str, values: list) -> None:
    copies = []
    for value in values:
        copy = type(value)()
        copy.CopyFrom(value)
        copies.append(copy)
    del getattr(message, field)[:]
    getattr(message, field).extend(copies)


if __name__ == "__main__":
    atexit.register(shutil.rmtree, os.environ["HF_HOME"])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder of the Hugging Face checkpoint")
    parser.add_argument("--out", type=Path, required=True, help="folder to be made for the SavedModel")
    arguments = parser.parse_args()
    exit_with_user_errors(lambda: main(arguments.checkpoint, arguments.out))
