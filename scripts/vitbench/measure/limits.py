"""What a repeat may meet of a busy machine before it is suspect: the configuration's `quiet`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a repeat may meet before it is suspect; shares are of 1."""

    canary_seconds: float
    """length of each of the canary's two parts"""
    gemm_slower: float
    """by how much the canary's GEMM may be slower than the median of the canaries so far"""
    decode_slower: float
    """the same for its JPEG decoding"""
    steal: float
    """share of CPU time that the hypervisor gave to others"""
    foreign_cpu: float
    """CPU time of other processes, as a share of all cores"""
    free_memory_gb: float
    """memory that must be free before"""
    retries: int
    """how often a suspect repeat is measured again"""

    def slower(self, name: str) -> float:
        """By how much this part of the canary (`canary.PARTS`) may be slower than usual."""
        return {"gemm_gflops": self.gemm_slower, "decode_per_second": self.decode_slower}[name]
