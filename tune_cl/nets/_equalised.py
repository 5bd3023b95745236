"""Layers with equalised learning rate: weights of unit variance, scaled at run time (Karras et al. 2018)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class EqualLinear(nn.Module):
    """Linear layer (B, n_in) -> (B, n_out); `rate` multiplies the learning rate of weight and bias."""

    def __init__(self, n_in: int, n_out: int, *, rate: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in) / rate)
        self.bias = nn.Parameter(torch.full((n_out,), bias / rate))
        self.scale, self.rate = rate / math.sqrt(n_in), rate

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        return functional.linear(x, self.weight * self.scale, self.bias * self.rate)


class EqualConv(nn.Module):
    """Square convolution that keeps the size: (B, n_in, H, W) -> (B, n_out, H, W); `gain` multiplies its weights."""

    def __init__(self, n_in: int, n_out: int, kernel: int, *, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.scale, self.padding = gain / math.sqrt(n_in * kernel**2), kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """Apply the convolution."""
        return functional.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)
