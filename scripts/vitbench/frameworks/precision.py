"""The precision in which a framework's matrix products ran: told by two witnesses, of which neither is a setting.

The *error* of one product against float64 says how many bits the operands kept (Higham, "Accuracy and Stability of
Numerical Algorithms", 2002, section 3: of random numbers about the unit roundoff): about 3e-7 in float32, 3e-4 with the
11 bits of TF32 and float16 (7e-4 where they are cut off, not rounded), 2e-3 with the 8 bits of bfloat16. It needs no
name of a kernel, and cannot tell numbers that were only rounded to 8 bits from products that ran in them.

The *kernels* of one batch, as the libraries name them in their own logs, say that, and with which instructions. Where a
library has no log there are none, and the error alone decides.

Both are asked after the passes of a repeat, in the process that was measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vitbench.frameworks import Unavailable

# Errors up to which a product has the 24 bits of float32, the 11 of TF32 and float16, the 8 of bfloat16; and up to
# which it may be one of int8, whose steps follow the largest number (of normal ones about 1e-2 for each operand).
BITS_24, BITS_11, BITS_8, INT8 = 1e-5, 1.1e-3, 1e-2, 1e-1
# What each keeps less than the ones before it.
ORDER = ("float32", "tensorfloat32", "float16", "bfloat16", "int8")


class Kernel(NamedTuple):
    """A matrix product as its library names it, with the types of its operands; its precision is one of ORDER."""

    name: str
    precision: str


@dataclass(frozen=True)
class Evidence:
    """What was seen of the products after the passes."""

    method: str
    """who said so, for people"""
    error: float | None = None
    """relative error of one product against float64; None where none was made"""
    kernels: Mapping[Kernel, int] = field(default_factory=dict)
    """how often each ran in one batch; empty where the library does not tell"""
    instructions: str | None = None
    """instruction sets that the libraries say they use; None where they do not say"""

    def record(self) -> dict[str, Any]:
        """The record's field `executed`."""
        products: Counter[str] = Counter()
        for kernel, times in self.kernels.items():
            products[kernel.precision] += times
        return {
            "method": self.method,
            "error": self.error,
            "kernels": {kernel.name: times for kernel, times in sorted(self.kernels.items())},
            "products": dict(sorted(products.items())),
            "instructions": self.instructions,
        }


def name_of(error: float, stored: str) -> str:
    """The precision that gives this error; `stored` is the type of the weights, float16 or another."""
    if error <= BITS_24:
        return "float32"
    if error <= BITS_11:
        return "float16" if stored == "float16" else "tensorfloat32"
    return "bfloat16" if error <= BITS_8 else "none that is known"


def check(wanted: str, evidence: Evidence, stored: str = "float32") -> dict[str, Any]:
    """The record's fields `precision` and `executed` of products that ran as they were meant to.

    Args:
        wanted: the precision of the variant, one of ORDER.
        stored: the type of the weights.

    Raises:
        Unavailable: they ran in another precision, or nothing says that they ran in this one.
    """
    if problem := _problem(wanted, evidence, stored):
        raise Unavailable(f"{problem}: its time means nothing")
    return {"precision": wanted, "executed": evidence.record()}


def disagreement(wanted: str | None, executed: Mapping[str, Any]) -> str | None:
    """What is wrong with a record's `executed` beside its precision `wanted`; None where they agree."""
    if unknown := sorted({str(wanted), *executed["products"]} - set(ORDER)):
        return f"precision {unknown[0]} is none of {', '.join(ORDER)}"
    seen = {Kernel(f"{times} of them", name): times for name, times in executed["products"].items()}
    return _problem(wanted, Evidence(executed["method"], executed["error"], seen), wanted)


def _problem(wanted: str, evidence: Evidence, stored: str) -> str | None:
    error, seen = evidence.error, {kernel.precision for kernel in evidence.kernels}
    if error is None and not seen:
        return f"nothing tells that the products ran in {wanted}"
    if wanted == "int8":
        if "int8" not in seen:
            ran = ", ".join(sorted(seen)) or "none that is known"
            return f"not one product ran in int8, but in {ran}"
        # Not `>`: a NaN must fail too.
        if error is not None and not BITS_11 < error <= INT8:
            return f"the products have not the error of int8 (relative error {error:.1e})"
        return None
    if error is not None and (found := name_of(error, stored)) != wanted:
        return f"the products ran in {found}, not in {wanted} (relative error {error:.1e})"
    if lower := sorted(name for name in seen if ORDER.index(name) > ORDER.index(wanted)):
        which = next(kernel.name for kernel in evidence.kernels if kernel.precision == lower[0])
        return f"products ran in {lower[0]}, not in {wanted} ({which})"
    if seen and wanted not in seen and wanted != "tensorfloat32":
        return f"not one product ran in {wanted}, but in {', '.join(sorted(seen))}"
    return None
