"""Published language models as graphs: configurations, weights, text, and greedy generation."""

from fusible.models.config import Config, LatentConfig, load_config, names
from fusible.models.decoder import Decoder
from fusible.models.latent import LatentFront
from fusible.models.linear import Format

__all__ = ["Config", "Decoder", "Format", "LatentConfig", "LatentFront", "load_config", "names"]
