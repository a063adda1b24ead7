"""Who makes pixels of files for the model behind a `DataLoader`: its workers alone, or the device a part of it.

What a worker hands over is the less the more the device does: pixels as the model takes them, decoded images, or files
as they are. The device works on all images of a batch together, where a worker has one at a time.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from vitbench.frameworks import decoders

# Values of the setting `on_device`, by which the device resizes and normalises, or decodes too.
PREPROCESSING, DECODING = "preprocessing", "decoding"


class ByWorkers:
    """Workers do all: each image's pixels reach the device as the model takes them."""

    described = ""

    def __init__(self, processor: Any, load_image: Callable[[Any], Any], device: str) -> None:
        self.processor, self.load_image, self.device = processor, load_image, device

    def hand_over(self, path: Any) -> Any:
        """What a worker makes of a file, or of the image that Pillow opened and has not decoded."""
        return self.processor(images=self.load_image(path), return_tensors="pt")["pixel_values"][0]

    def collect(self, images: list[Any]) -> Any:
        """Several images that a worker hands over at a time: torch's own way, which copies none twice."""
        from torch.utils.data import default_collate

        return default_collate(images)

    def begin(self, part: Any) -> Any:
        """Begin to bring what a worker handed over to the device; from pinned memory nothing waits for that."""
        return part.to(self.device, non_blocking=True)

    def batch(self, parts: list[Any]) -> Any:
        """The pixels of a batch on the device, from what `begin` returned: float32, (images, 3, height, width)."""
        import torch

        return torch.cat(parts)


class OnDevice(ByWorkers):
    """Workers decode, the device resizes and normalises."""

    described = ", resized on the device"

    def hand_over(self, path: Any) -> Any:
        from torchvision.transforms.functional import pil_to_tensor

        return pil_to_tensor(self.load_image(path))

    def collect(self, images: list[Any]) -> Any:
        """All of them end to end, and their shapes: each tensor that a worker hands over takes a descriptor of its own,
        half a millisecond of the process that waits for it.
        """
        import torch

        return torch.cat([image.flatten() for image in images]), [tuple(image.shape) for image in images]

    def begin(self, part: Any) -> Any:
        numbers, shapes = part
        return apart(super().begin(numbers), shapes)

    def batch(self, parts: list[Any]) -> Any:
        images = [image for part in parts for image in part]
        return self.processor(images=images, return_tensors="pt", device=self.device)["pixel_values"]


class DecodedOnDevice(OnDevice):
    """Workers read, the device does the rest: on an NVIDIA GPU its own decoder, nvJPEG."""

    described = ", decoded and resized on the device"

    def hand_over(self, path: Any) -> Any:
        """The bytes of a file, of one dimension; an image where `plain_jpeg` leaves the file to Pillow."""
        import PIL.Image
        import torch

        image = PIL.Image.open(path)
        content = decoders.plain_jpeg(image)
        if content is None:
            return super().hand_over(image)
        return torch.frombuffer(bytearray(content), dtype=torch.uint8)

    def begin(self, part: Any) -> Any:
        return apart(*part)  # the decoder takes a whole batch, and from the computer's memory

    def batch(self, parts: list[Any]) -> Any:
        given = [one for part in parts for one in part]
        files = [one for one in given if one.dim() == 1]
        decoded = iter(self._decode(files) if files else [])
        return super().batch([[next(decoded) if one.dim() == 1 else one for one in given]])

    def _decode(self, files: list[Any]) -> list[Any]:
        import torch
        from torchvision.io import ImageReadMode, decode_jpeg

        if self.device == "cuda":
            # It writes on a stream of its own into memory that the batch before may still use, and does not wait for
            # that (pytorch/vision, pull request 9606).
            torch.cuda.current_stream().synchronize()
        with warnings.catch_warnings():
            # It is to move to torchcodec, which the lock has not.
            warnings.filterwarnings("ignore", message=r"(?s).*TorchCodec")
            where = self.device if self.device == "cuda" else "cpu"  # it decodes on no other device
            return decode_jpeg(files, ImageReadMode.RGB, where)


def apart(numbers: Any, shapes: list[tuple[int, ...]]) -> list[Any]:
    """Tensors of these shapes that lie end to end in one, without copying any."""
    pairs = zip(numbers.split([math.prod(shape) for shape in shapes]), shapes, strict=True)
    return [one.view(shape) for one, shape in pairs]


KINDS: dict[str | None, type[ByWorkers]] = {None: ByWorkers, PREPROCESSING: OnDevice, DECODING: DecodedOnDevice}
