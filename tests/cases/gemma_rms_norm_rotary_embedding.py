"""Cases of gemma_rms_norm_rotary_embedding: those with the other norm."""

from cases.rms_norm_rotary_embedding import CASES

__all__ = ["CASES"]
