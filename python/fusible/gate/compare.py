"""Measures two things until what is found of them can be said, or a budget of rounds is spent."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusible.gate import decide, statistics
from fusible.gate.measure import Rounds, Subject
from fusible.gate.model import GateError, Report, Rule, Series, Verdict

if TYPE_CHECKING:
    Progress = Callable[[int, Report], None]

# Fractions of the budget after which the samples are looked at.
LOOKS = (0.25, 0.5, 0.75, 1.0)
BUDGET = 24  # rounds
FEWEST = 2


@dataclass(frozen=True)
class Look:
    """A look at the samples: after how many rounds, and what share of alpha it may spend."""

    rounds: int
    share: float


@dataclass(frozen=True)
class Outcome:
    """What was found, and all samples that it was found in.

    Attributes:
        report: the findings at the last look.
        base: the samples of the base.
        candidate: the samples of the candidate.
        counts: what each of them counted; to be compared exactly.
        rounds: how many were taken.
        budget: how many could have been.
    """

    report: Report
    base: tuple[Series, ...]
    candidate: tuple[Series, ...]
    counts: tuple[dict[str, int], dict[str, int]]
    rounds: int
    budget: int


def looks(budget: int, metrics: int, alpha: float) -> list[Look]:
    """When to look, and what each look may spend.

    Args:
        budget: rounds.
        metrics: how many are judged.
        alpha: of the family.
    """
    if budget < FEWEST:
        raise GateError(f"rounds: expected {FEWEST} or more, got {budget}")
    ends = sorted({max(FEWEST, math.ceil(part * budget)) for part in LOOKS})
    level = alpha * decide.WORSE / max(metrics, 1)
    spent = statistics.shares([end / budget for end in ends], level)
    return [Look(end, share) for end, share in zip(ends, spent, strict=True)]


def compare(
    base: Subject,
    candidate: Subject,
    rule: Rule | None = None,
    *,
    rules: Mapping[str, Rule] | None = None,
    controls: Collection[str] = (),
    budget: int = BUDGET,
    seed: int = 0,
    warm_up: int = 1,
    progress: Progress | None = None,
) -> Outcome:
    """Measures two subjects turn about and decides.

    It ends when nothing is inconclusive, when something regressed, or with the budget.

    Args:
        base: what was.
        candidate: what is to be judged.
        rule: of all metrics.
        rules: other rules of some, by name.
        controls: names of metrics that the change can't affect.
        budget: the most rounds.
        seed: of the coin that orders each round.
        warm_up: runs of each before the first round, whose samples don't count.
        progress: called after each look with the rounds taken and what is found so far.
    """
    rule = rule or Rule()
    rounds = Rounds(base, candidate, seed=seed, warm_up=warm_up)
    rounds.take(looks(budget, 1, rule.alpha)[0].rounds)
    judged = {one.name for one in rounds.base} - set(controls)
    report = None
    for look in looks(budget, len(judged), rule.alpha):
        rounds.take(look.rounds)
        report = decide.decide(
            rounds.base,
            rounds.candidate,
            rule,
            rules=rules,
            controls=controls,
            share=look.share,
        )
        if progress:
            progress(rounds.taken, report)
        if settled(report):
            break
    assert report is not None
    report = decide.with_bootstrap(report, rounds.base, rounds.candidate)
    return Outcome(
        report,
        tuple(rounds.base),
        tuple(rounds.candidate),
        rounds.counts,
        rounds.taken,
        budget,
    )


def settled(report: Report) -> bool:
    """Whether more rounds could change nothing that counts."""
    if report.verdict is Verdict.REGRESSED:
        return True
    open_ = (Verdict.INCONCLUSIVE, Verdict.ADVISORY)
    return not any(f.verdict in open_ for f in report.findings if not f.control)


@dataclass(frozen=True)
class FalseAlarms:
    """How often a thing was told from itself.

    Attributes:
        times: comparisons.
        regressed: how many of them found a regression.
        improved: how many found an improvement, and no regression.
        inconclusive: how many could not tell.
        most: upper end of the 95 % interval of the rate of regressions (Clopper and Pearson).
    """

    times: int
    regressed: int
    improved: int
    inconclusive: int
    most: float


def noop(
    subject: Subject,
    rule: Rule | None = None,
    *,
    times: int = 1,
    budget: int = BUDGET,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[FalseAlarms, list[Outcome]]:
    """Compares a thing with itself: what the gate says of no change on this machine.

    Args:
        subject: measured as base and as candidate.
        rule: of all metrics.
        times: comparisons.
        budget: the most rounds of each.
        seed: of the first comparison; each has one of its own.
        progress: called after each look.
    """
    if times < 1:
        raise GateError(f"times: expected 1 or more, got {times}")
    outcomes = []
    for number in range(times):
        warm_up = 1 if number == 0 else 0
        one = compare(
            subject,
            subject,
            rule,
            budget=budget,
            seed=seed + number,
            warm_up=warm_up,
            progress=progress,
        )
        outcomes.append(one)
    return _false_alarms(outcomes), outcomes


def _false_alarms(outcomes: list[Outcome]) -> FalseAlarms:
    from scipy.special import betaincinv

    said = [one.report.verdict for one in outcomes]
    wrong, times = said.count(Verdict.REGRESSED), len(said)
    most = float(betaincinv(wrong + 1, times - wrong, 0.975)) if wrong < times else 1.0
    return FalseAlarms(
        times, wrong, said.count(Verdict.IMPROVED), said.count(Verdict.INCONCLUSIVE), most
    )
