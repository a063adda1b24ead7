"""What the arithmetic of a ViT asks for: its shape, its matrix products, its floating point operations."""

from __future__ import annotations

from dataclasses import dataclass

from vitbench.inputs.checkpoints import Checkpoint


@dataclass(frozen=True)
class Shape:
    """What a ViT's arithmetic depends on."""

    image_size: int
    patch_size: int
    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    labels: int
    channels: int = 3

    @property
    def patches(self) -> int:
        return (self.image_size // self.patch_size) ** 2

    @property
    def tokens(self) -> int:
        """Patches and the [CLS] token."""
        return self.patches + 1


# ViT-B/16 at 224 pixels with ImageNet's labels.
VIT_BASE = Shape(
    image_size=224, patch_size=16, hidden_size=768, layers=12, heads=12, intermediate_size=3072, labels=1000
)


def shape_of(checkpoint: Checkpoint) -> Shape:
    """The shape of a checkpoint."""
    same = ("image_size", "patch_size", "hidden_size", "layers", "heads", "intermediate_size", "channels")
    return Shape(**{key: getattr(checkpoint, key) for key in same}, labels=len(checkpoint.labels))


@dataclass(frozen=True)
class Product:
    """`count` products of [rows, inner] x [inner, columns] at once; `weights`: the right side is the model's own."""

    name: str
    batch_size: int
    count: int
    rows: int
    inner: int
    columns: int
    weights: bool = True

    @property
    def flop(self) -> float:
        """A multiply-add counted as two."""
        return 2.0 * self.count * self.rows * self.inner * self.columns

    @property
    def text(self) -> str:
        size = f"{self.rows}x{self.inner}x{self.columns}"
        return f"{self.count} x {size}" if self.count > 1 else size


def products(shape: Shape, batch_size: int) -> dict[Product, int]:
    """Every matrix product of one forward pass, and how often it happens in it (Dosovitskiy et al. 2021)."""
    hidden, mlp, head = shape.hidden_size, shape.intermediate_size, shape.hidden_size // shape.heads
    rows, heads = batch_size * shape.tokens, batch_size * shape.heads
    patch = shape.channels * shape.patch_size**2
    return {
        Product("patch embedding", batch_size, 1, batch_size * shape.patches, patch, hidden): 1,
        Product("projection", batch_size, 1, rows, hidden, hidden): 4 * shape.layers,
        Product("attention scores", batch_size, heads, shape.tokens, head, shape.tokens, False): shape.layers,
        Product("attention values", batch_size, heads, shape.tokens, shape.tokens, head, False): shape.layers,
        Product("MLP up", batch_size, 1, rows, hidden, mlp): shape.layers,
        Product("MLP down", batch_size, 1, rows, mlp, hidden): shape.layers,
        Product("head", batch_size, 1, batch_size, hidden, shape.labels): 1,
    }


def flop_per_image(shape: Shape) -> float:
    """Floating point operations of the matrix products of one image; 35.13e9 for ViT-B/16, 224 pixels, 1,000 labels.

    Softmax, normalisation and activation are left out (below 1% of it), as in the rates that it is held against.
    """
    return sum(product.flop * times for product, times in products(shape, 1).items())
