"""A small ViT that is not the default: 37 labels with odd names, and images of each label, which it knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy
import torch
from PIL import Image
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

from vitbench.inputs import seeded

ODD = [
    "crane", "crane", "a, b", "a,b", 'say "cheese"', "'single'", "new\nline", "carriage\rreturn", "tab\there",
    "=1+1", "+cmd|' /C calc'!A0", "@sum", "-2", "<script>alert(1)</script>", "$(touch x)", "`touch y`", "semi;colon",
    "Some(crane)", "crane (1)", "None", "null", "", " ", " crane", "back\\slash", "{brace}", "[list]", "a:b", "100%",
    "ünïcödé", "日本語", "🐈", "0", "1", "true", "two  blanks", "a/b",
]  # fmt: skip


def labels(count: int = len(ODD)) -> list[str]:
    """The odd names, or the first of them."""
    return ODD[:count]


def pattern(label: int, size: int) -> Image.Image:
    """What an image of this label looks like: a grid of 4 × 4 colours, so smooth that it survives any resizing."""
    colours = numpy.random.default_rng(label).integers(0, 256, (4, 4, 3), dtype=numpy.uint8)
    return Image.fromarray(colours).resize((size, size), Image.Resampling.BICUBIC)


def noisy(label: int, size: int, seed: int) -> Image.Image:
    """One image of a label: its pattern with noise."""
    noise = numpy.random.default_rng([label, seed]).normal(0, 4, (size, size, 3))
    return Image.fromarray((numpy.asarray(pattern(label, size)) + noise).clip(0, 255).astype(numpy.uint8))


def checkpoint(folder: Path, count: int = len(ODD), image_size: int = 96, patch_size: int = 16, **shape: int) -> None:
    """Write what `save_pretrained` makes of such a model: random weights, and a classifier that knows the patterns."""
    torch.manual_seed(5)
    names = labels(count)
    config = ViTConfig(
        **{"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 96} | shape,
        image_size=image_size, patch_size=patch_size, initializer_range=0.1,
        id2label=dict(enumerate(names)), label2id={label: number for number, label in enumerate(names)},
    )  # fmt: skip
    model = ViTForImageClassification(config).eval()
    sizes = (image_size, 2 * image_size, 3 * image_size)
    classes = numpy.repeat(numpy.arange(count), len(sizes) * len(seeded.RESIZINGS))
    found = seeded.features(model, _pixels(count, sizes, image_size), 32)
    weight, bias = seeded.ridge(found, numpy.eye(count)[classes], 1e-4)
    scale = seeded.logit_scale(found @ weight.T + bias, 0.9)
    with torch.no_grad():
        model.classifier.weight.copy_(torch.from_numpy(weight * scale))
        model.classifier.bias.copy_(torch.from_numpy(bias * scale))
    model.save_pretrained(folder)
    mean, deviation = list(seeded.MEAN), list(seeded.STD)
    size = {"height": image_size, "width": image_size}
    ViTImageProcessor(size=size, image_mean=mean, image_std=deviation, resample=2).save_pretrained(folder)


def rewrite(checkpoint: Path, name: str, **changes: object) -> None:
    """Change keys of a checkpoint's file NAME.json, as people's own tools write them."""
    path = checkpoint / f"{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _pixels(count: int, sizes: tuple[int, ...], image_size: int) -> Iterator[torch.Tensor]:
    for label in range(count):
        for size in sizes:
            image = noisy(label, size, seed=size)
            yield from (resize(image, image_size) for resize in seeded.RESIZINGS)
