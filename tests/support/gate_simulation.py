"""Families of metrics under noise, judged by the gate, and by a threshold with retries."""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from fusible.gate import compare, decide, statistics
from fusible.gate.model import Rule, Verdict

RUNS = 1000
ROUNDS = {1: 24, 10: 32, 60: 32}
SLOTS = 4  # samples of a round
RULE = Rule()
RETRIES = 7  # the most attempts of SGLang's runner
LIMIT = 1.25  # its tolerance of end-to-end times


def normal(random, shape, cv):
    """Logarithms of log-normal samples of that coefficient of variation."""
    return random.normal(0, np.sqrt(np.log1p(cv * cv)), shape)


def drifting(random, shape):
    """A warming machine: all samples of a run rise by up to 40 %, at once or to the end."""
    runs, slots, _ = shape
    time = np.linspace(0, 1, slots)
    rise = random.uniform(0, np.log(1.4), (runs, 1))
    bend = random.uniform(0.1, 10, (runs, 1))
    return normal(random, shape, 0.03) + (rise * (1 - time) ** bend)[..., None]


def bimodal(random, shape):
    """Three processes of ten have bad luck with their addresses: 20 % slower."""
    return normal(random, shape, 0.02) + np.log(1.2) * (random.random(shape) < 0.3)


def outliers(random, shape):
    """One sample of twenty takes up to four times as long."""
    far = random.uniform(0, np.log(4), shape) * (random.random(shape) < 0.05)
    return normal(random, shape, 0.03) + far


def loaded(random, shape):
    """Six stretches of time in which everything is up to twice as slow; they may overlap."""
    runs, slots, _ = shape
    slow = np.zeros((runs, slots))
    time = np.arange(slots)
    for _ in range(6):
        start = random.integers(-slots // 4, slots, (runs, 1))
        length = random.integers(1, slots // 2, (runs, 1))
        weight = random.uniform(0, np.log(2), (runs, 1))
        slow += weight * ((time >= start) & (time < start + length))
    return normal(random, shape, 0.03) + slow[..., None]


NOISES = {
    "CV 2 %": lambda random, shape: normal(random, shape, 0.02),
    "CV 5 %": lambda random, shape: normal(random, shape, 0.05),
    "CV 10 %": lambda random, shape: normal(random, shape, 0.10),
    "drift": drifting,
    "bimodal": bimodal,
    "outliers": outliers,
    "load": loaded,
}


def differences(noise, metrics, effect, seed):
    """Runs x rounds x metrics: candidate - base of each round, the first metric changed."""
    random = np.random.default_rng(seed)
    rounds = ROUNDS[metrics]
    time = NOISES[noise](random, (RUNS, rounds * SLOTS, metrics))
    first, second, third, fourth = np.moveaxis(time.reshape(RUNS, rounds, SLOTS, metrics), 2, 0)
    coin = random.choice([-1.0, 1.0], (RUNS, rounds, 1))
    found = coin * (second + third - first - fourth) / 2
    found[..., 0] += np.log1p(effect)
    return found


@dataclass
class Tally:
    """Of RUNS families, how many ended how."""

    regressed: int = 0  # any metric: exit 1
    first: int = 0  # the first metric regressed
    improved: int = 0
    passed: int = 0  # exit 0
    rounds: float = 0.0  # a run, on average

    def add(self, verdicts, rounds):
        self.regressed += Verdict.REGRESSED in verdicts
        self.first += verdicts[0] is Verdict.REGRESSED
        self.improved += Verdict.IMPROVED in verdicts
        self.passed += all(verdict.passed for verdict in verdicts)
        self.rounds += rounds / RUNS


def simulate(noise, metrics, effect=0.0, seed=1):
    """What `fusible.gate.compare` would say of RUNS families, with its looks and its stops."""
    found = differences(noise, metrics, effect, seed)
    limits = [decide.ends(RULE, 1.0)] * metrics
    looks = compare.looks(ROUNDS[metrics], metrics, RULE.alpha)
    tally, open_ = Tally(), np.arange(RUNS)
    for look in looks:
        alpha = RULE.alpha * look.share
        seen = found[open_, : look.rounds]
        last = look is looks[-1]
        kept = []
        for run, maybe in zip(open_, _may_settle(seen, limits[0].margin, alpha), strict=True):
            verdicts = [Verdict.INCONCLUSIVE] * metrics
            if maybe:
                parts = [statistics.paired(d) for d in found[run, : look.rounds].T]
                verdicts = decide.verdicts(parts, limits, alpha)
            open_verdicts = Verdict.INCONCLUSIVE in verdicts
            if last or Verdict.REGRESSED in verdicts or not open_verdicts:
                tally.add(verdicts, look.rounds)
            else:
                kept.append(run)
        open_ = np.array(kept, int)
    return tally


def _may_settle(seen, margin, alpha):
    """Runs that Student's t alone might settle. Others stay open: the gate's p are no smaller."""
    n, metrics = seen.shape[1:]
    mean, error = seen.mean(axis=1), seen.std(axis=1, ddof=1) / np.sqrt(n)
    changed = stdtr(n - 1, -np.abs(mean) / error).min(axis=1) * metrics <= alpha
    same = np.sort(stdtr(n - 1, -(margin - np.abs(mean)) / error), axis=1)
    return changed | (same * np.arange(metrics, 0, -1) <= alpha).all(axis=1)


def threshold_with_retries(noise, metrics, effect=0.0, seed=1):
    """Families in which SGLang's rule fails: one stored sample, + 25 %, the best of 7 attempts."""
    random = np.random.default_rng(seed)
    time = NOISES[noise](random, (RUNS, 1 + RETRIES, metrics))
    time[:, 1:, 0] += np.log1p(effect)
    slow = time[:, 1:] > time[:, :1] + np.log(LIMIT)
    return int(slow.all(axis=1).any(axis=1).sum())
