"""Cases of gelu_tanh_and_mul: those of silu_and_mul without a limit."""

import numpy as np

from cases import silu_and_mul


def reference(x):
    # x/2 * (1 + tanh(v)) = x / (1 + e^-2v), which does not cancel where tanh nears -1.
    return silu_and_mul.gated(x, lambda v: 2.0 * np.sqrt(2.0 / np.pi) * (v + 0.044715 * v**3))


CASES = silu_and_mul.PLAIN
