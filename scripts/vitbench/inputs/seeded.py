"""The seeded model: a ViT with random weights and a fitted classifier, so that its labels mean something."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable

import numpy
import torch
from PIL import Image
from torch.nn import functional
from transformers import ViTConfig, ViTForImageClassification

from vitbench.inputs import photographs

MEAN = STD = (0.5, 0.5, 0.5)


def antialiased(image: Image.Image, size: int) -> torch.Tensor:
    """RGB image → float32 [3, size, size] in -1..1, resized bilinearly with antialias, as Hugging Face does."""
    return _normalised(numpy.asarray(image.resize((size, size), Image.Resampling.BILINEAR)))


def plain(image: Image.Image, size: int) -> torch.Tensor:
    """As `antialiased`, but each pixel is a mean of the nearest 2 × 2 only, as in Java (and so Spark NLP)."""
    pixels = torch.from_numpy(numpy.array(image)).permute(2, 0, 1)[None].float()
    resized = functional.interpolate(pixels, (size, size), mode="bilinear", antialias=False)
    return _normalised(resized[0].permute(1, 2, 0).round().numpy())


RESIZINGS: tuple[Callable[[Image.Image, int], torch.Tensor], ...] = (antialiased, plain)


def _normalised(pixels: numpy.ndarray) -> torch.Tensor:
    return torch.from_numpy((pixels.astype(numpy.float32) / 255 - MEAN[0]) / STD[0]).permute(2, 0, 1)


def build(definition: dict) -> ViTForImageClassification:
    """The model of a definition of kind `seeded`; same definition, machine and threads: same weights.

    Weights come from `seed`; the classifier is a ridge regression of the labels on the standardised [CLS] features of
    `crops` crops of the photographs (role "fit"), each resized in both ways, since frameworks differ in that.
    """
    labels = photographs.labels()
    torch.manual_seed(definition["seed"])
    config = ViTConfig(
        hidden_size=definition["hidden_size"],
        num_hidden_layers=definition["layers"],
        num_attention_heads=definition["heads"],
        intermediate_size=definition["intermediate_size"],
        image_size=definition["image_size"],
        patch_size=definition["patch_size"],
        initializer_range=definition["initializer_range"],
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
        architectures=["ViTForImageClassification"],
    )
    model = ViTForImageClassification(config).eval()
    crops = photographs.crops(definition["crops"], definition["seed"], "fit")
    numbers, pixels = read_crops(crops, config.image_size)
    found = features(model, (resized for resizings in pixels for resized in resizings), definition["batch"])
    classes = numpy.repeat(numbers, len(RESIZINGS))
    weight, bias = ridge(found, numpy.eye(len(labels))[classes], definition["ridge"])
    scale = logit_scale(found @ weight.T + bias, definition["median_score"])
    with torch.no_grad():
        model.classifier.weight.copy_(torch.from_numpy(weight * scale))
        model.classifier.bias.copy_(torch.from_numpy(bias * scale))
    return model


def read_crops(crops: Iterable[photographs.Crop], size: int) -> tuple[list[int], Iterable[list[torch.Tensor]]]:
    """Class numbers of crops, and lazily for each the list of its resizings (see RESIZINGS)."""
    known = photographs.labels()
    crops = list(crops)

    def resized() -> Iterable[list[torch.Tensor]]:
        for crop in crops:
            with Image.open(io.BytesIO(crop.jpeg)) as image:
                yield [resize(image, size) for resize in RESIZINGS]

    return [known.index(crop.label) for crop in crops], resized()


def features(model: ViTForImageClassification, pixels: Iterable[torch.Tensor], batch: int) -> numpy.ndarray:
    """[CLS] vectors after the final layer norm, float64 [images, hidden_size]: what the classifier sees."""
    with torch.inference_mode():
        found = [model.vit(pixel_values=part).last_hidden_state[:, 0].double() for part in _batches(pixels, batch)]
    return torch.cat(found).numpy()


def _batches(pixels: Iterable[torch.Tensor], batch: int) -> Iterable[torch.Tensor]:
    part = []
    for tensor in pixels:
        part.append(tensor)
        if len(part) == batch:
            yield torch.stack(part)
            part = []
    if part:
        yield torch.stack(part)


def ridge(found: numpy.ndarray, targets: numpy.ndarray, strength: float) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Weight [classes, hidden] and bias [classes] of a ridge regression on standardised features.

    The standardisation is folded into weight and bias, so that a plain linear layer does it all. `strength` is relative
    to the number of images: it does not change its meaning with that.
    """
    mean, deviation = found.mean(axis=0), found.std(axis=0)
    standard = (found - mean) / deviation
    centred = targets - targets.mean(axis=0)
    count, hidden = standard.shape
    solved = numpy.linalg.solve(standard.T @ standard + strength * count * numpy.eye(hidden), standard.T @ centred)
    weight = (solved / deviation[:, None]).T
    return weight, targets.mean(axis=0) - weight @ mean


def logit_scale(logits: numpy.ndarray, median_score: float) -> float:
    """The factor on `logits` [images, classes] that makes `median_score` the median of the highest softmax scores.

    A regression's outputs lie near 0 and 1, so that unscaled all scores were about 2 in 12.
    """
    gaps = logits - logits.max(axis=1, keepdims=True)
    low, high = 0.0, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        below = numpy.median(1 / numpy.exp(gaps * middle).sum(axis=1)) < median_score
        low, high = (middle, high) if below else (low, middle)
    return high
