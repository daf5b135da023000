"""Small baselines and samples of two machines."""

import random

from fusible.gate import baseline
from fusible.gate.baseline import Hard, Machine, Tolerance
from fusible.gate.model import Series
from fusible.gate.readers import Samples

HERE = Machine(hard=Hard(cpu="A", isa=[], cores=2, memory_gib=8), noted={"kernel": "1"})
THERE = Machine(hard=Hard(cpu="B", isa=[], cores=2, memory_gib=8))


def drawn(seed, factor=1.0, count=20, name="m", **kind):
    """Samples around `10 * factor` with a spread of 1 %."""
    luck = random.Random(seed)
    values = tuple(10 * factor * luck.lognormvariate(0, 0.01) for _ in range(count))
    return Series(name, values, **kind)


def stored(*series, machine=HERE, counts=(), calibration=10.0, tolerance=None):
    about = {"machine": machine.key, "calibration_ms": calibration, "commit": "a" * 7}
    about["tolerance"] = tolerance or Tolerance()
    metrics = {one.name: baseline.measured(one, **about) for one in series}
    return baseline.assemble(metrics, dict(counts), [machine])


def taken(*series, machine=HERE, counts=(), calibration=10.0):
    return Samples(series, dict(counts), machine, calibration)
