"""The settings of a variant as a program of one's own: see `Framework.snippet`."""

from __future__ import annotations

from typing import Any

from vitbench.frameworks import decoders
from vitbench.frameworks.declaration import IMAGES_OF_A_FOLDER, MAIN, Setting
from vitbench.frameworks.huggingface import workers
from vitbench.frameworks.huggingface.preparation import DECODING, PREPROCESSING

# What torch calls each device, as a program finds it: an Apple GPU is no CUDA.
DEVICES = {"cpu": '"cpu"', "gpu": '"cuda" if torch.cuda.is_available() else "mps"'}

PIPELINE = """\
from transformers import AutoImageProcessor, pipeline


def classify(paths):
    torch.set_num_threads(THREADS)
    processor = AutoImageProcessor.from_pretrained(MODEL, backend={backend!r})
    run = pipeline("image-classification", model=MODEL, image_processor=processor, device=DEVICE, dtype=torch.{dtype})
    answers = run(paths, batch_size=BATCH_SIZE, num_workers={loader_workers})
    return [(path, answer[0]["label"], answer[0]["score"]) for path, answer in zip(paths, answers)]
"""

DATALOADER = """\
from torch.utils.data import DataLoader, Dataset
{imports}from transformers import AutoImageProcessor, AutoModelForImageClassification
{load_image}

class Images(Dataset):
    def __init__(self, paths, processor):
        self.paths, self.processor = paths, processor

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, place):
{given}


{end_to_end}def classify(paths):
    torch.set_num_threads(THREADS)
    torch.set_float32_matmul_precision({products!r})
    processor = AutoImageProcessor.from_pretrained(MODEL, backend={backend!r})
    model = AutoModelForImageClassification.from_pretrained(MODEL, dtype=torch.{stored}).eval().to(DEVICE)
    names = model.config.id2label
{made}    loader = DataLoader(Images(paths, processor), batch_size=BATCH_SIZE, num_workers={loader_workers}{collate})
    found = []
    with torch.inference_mode():
        for {given_to_device} in loader:
{prepared}            pixels = pixels.to(DEVICE, torch.{stored})
            best = model(pixel_values=pixels).logits.float().softmax(-1).max(-1)
            found += zip(best.indices.tolist(), best.values.tolist())
    return [(path, names[number], score) for path, (number, score) in zip(paths, found)]
"""

LOAD_IMAGE = "from transformers.image_utils import load_image\n"
# Parts of DATALOADER by who prepares images: what it imports, what a worker makes of a file, what the device does then.
BY_WORKERS = {
    "imports": "",
    "load_image": LOAD_IMAGE,
    "given": """\
        image = load_image(self.paths[place])
        return self.processor(images=image, return_tensors="pt")["pixel_values"][0]""",
    "end_to_end": "",
    "collate": "",
    "given_to_device": "pixels",
    "prepared": "",
}
ON_DEVICE = {
    "imports": "from torchvision.transforms.functional import pil_to_tensor\n",
    "load_image": LOAD_IMAGE,
    "given": "        return pil_to_tensor(load_image(self.paths[place]))",
    "end_to_end": """\
def end_to_end(images):
    # One tensor of a batch is handed over much faster than one of each image.
    return torch.cat([image.flatten() for image in images]), [image.shape for image in images]


def apart(numbers, shapes):
    ends = zip(numbers.split([shape.numel() for shape in shapes]), shapes)
    return [one.view(shape) for one, shape in ends]


""",
    "collate": ", collate_fn=end_to_end",
    "given_to_device": "numbers, shapes",
    "prepared": """\
            images = apart(numbers.to(DEVICE), shapes)
            pixels = processor(images=images, return_tensors="pt", device=DEVICE)["pixel_values"]
""",
}
DECODED_ON_DEVICE = ON_DEVICE | {
    "imports": "from torchvision.io import ImageReadMode, decode_jpeg\n",
    "load_image": "",
    "given": """\
        # JPEG files in three colours that are not to be turned: the decoder on the device does no others.
        return torch.frombuffer(bytearray(Path(self.paths[place]).read_bytes()), dtype=torch.uint8)""",
    "prepared": """\
            # It decodes on no other device.
            images = decode_jpeg(apart(numbers, shapes), ImageReadMode.RGB, "cuda" if DEVICE == "cuda" else "cpu")
            pixels = processor(images=images, return_tensors="pt", device=DEVICE)["pixel_values"]
""",
}
PREPARED = {None: BY_WORKERS, PREPROCESSING: ON_DEVICE, DECODING: DECODED_ON_DEVICE}

INT8 = """\
    torch.backends.quantized.engine = next(
        one for one in ("onednn", "x86", "qnnpack") if one in torch.backends.quantized.supported_engines
    )
    layers = {torch.nn.Linear: torch.ao.quantization.per_channel_dynamic_qconfig}
    model = torch.ao.quantization.quantize_dynamic(model, layers, inplace=True)
"""
FREEZING = "    torch._inductor.config.freezing = True\n"
COMPILED = "    model = torch.compile(model, mode={mode!r}, dynamic=False)\n"

SEVERAL = """\
    shares = [paths[number::PROCESSES] for number in range(PROCESSES)]
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        for answers in pool.map(classify, shares):
            for answer in answers:
                print(*answer, sep="\\t")
"""
ONE = """\
    for answer in classify(paths):
        print(*answer, sep="\\t")
"""


def snippet(definition: dict[str, Any], setting: Setting) -> str:
    """A program that classifies a folder as this variant does: see `Framework.snippet`."""
    threads = definition.get("threads_a_process", setting.cores)
    inner = {key: value for key, value in definition.items() if key != "threads_a_process"}
    several = "threads_a_process" in definition
    imports = "import multiprocessing\nfrom concurrent.futures import ProcessPoolExecutor\n" if several else ""
    compiled = "compile" in inner and setting.device == "cpu"
    constants = f"DEVICE = {DEVICES[setting.device]}\nTHREADS, BATCH_SIZE = {threads}, {setting.batch_size}\n"
    constants += f"PROCESSES = {max(1, setting.cores // threads)}\n" if several else ""
    body, rest = _body(inner, setting, threads).split("\n\n\n", 1)
    torch = "import torch\n" + ("import torch._inductor.config\n" if compiled else "")
    return (
        f"{imports}from pathlib import Path\n\n{torch}{body}\n\n"
        f'MODEL, IMAGES = "path/to/model", "path/to/images"\n{constants}\n\n{rest}\n\n'
        f"{MAIN}{IMAGES_OF_A_FOLDER}{SEVERAL if several else ONE}"
    )


def _body(inner: dict[str, Any], setting: Setting, threads: int) -> str:
    """What imports and defines `classify`."""
    words = {
        "backend": inner["image_processor"],
        "loader_workers": workers.number(inner.get("loader_workers", 0), threads),
    }
    if "runner" not in inner:
        # Named in any case: transformers takes weights as they are stored, and what is measured is a copy in float32.
        return PIPELINE.format(**words, dtype=inner.get("dtype", "float32"))
    precision = inner["precision"]
    made = f"    torch.backends.cudnn.allow_tf32 = {precision == 'tensorfloat32'}\n" if setting.device == "gpu" else ""
    made += INT8 if precision == "int8" else ""
    if "compile" in inner:
        made += FREEZING if setting.device == "cpu" else ""
        made += COMPILED.format(mode=inner["compile"])
    stored = precision if precision in ("bfloat16", "float16") else "float32"
    products = "high" if precision == "tensorfloat32" else "highest"
    parts = PREPARED[inner.get("on_device")]
    program = DATALOADER.format(**words, **parts, made=made, stored=stored, products=products)
    return decoders.in_program(program, inner, "class Images(Dataset):")
