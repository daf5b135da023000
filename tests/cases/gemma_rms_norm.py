"""Cases of gemma_rms_norm: those of rms_norm that have a weight."""

from cases import rms_norm


def reference(x, weight, eps=1e-6):
    return rms_norm.reference(x, 1.0 + weight, eps)


CASES = [case for case in rms_norm.CASES if "weight" in case.operands]
