"""Random numbers by key: (train seed, increment, phase, purpose, step) and nothing else.

Never the configuration, never what ran before: two configurations see the same initial weights, batches and latents
(common random numbers), and a resumed or shared chain draws what an uninterrupted one draws.
"""

import hashlib
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class RandomKey:
    """Names the random numbers that a phase draws: the same key gives the same numbers."""

    train_seed: int
    increment: int
    phase: str

    def seed(self, purpose: str, step: int = 0) -> int:
        """A seed of 63 bits for a purpose at a step."""
        text = f"{self.train_seed}/{self.increment}/{self.phase}/{purpose}/{step}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def rng(self, purpose: str, step: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
        """A fresh random number generator for a purpose at a step, on a device."""
        return torch.Generator(device).manual_seed(self.seed(purpose, step))
