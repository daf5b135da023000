"""The pool that results come from."""

from __future__ import annotations

from dataclasses import dataclass

from fusible import _core


@dataclass(frozen=True)
class Pool:
    """The pool at one moment; sizes in bytes."""

    limit: int
    """The most that may wait for a next result."""
    held: int
    """What waits: memory of results that have died."""
    lent: int
    """Memory of results that live."""
    hits: int
    """Results that took memory which waited."""
    misses: int
    """Results that took fresh memory."""


MOST = 1 << 63  # bytes


def pool(limit: int | None = None) -> Pool:
    """Says how results are recycled, and sets how much memory may wait for that.

    A result takes the memory of one that died, of about its size, so that a loop costs no page
    faults. What lives is never touched; beyond the limit, what has waited longest goes back to the
    system. With a limit of 0 nothing waits.

    Args:
        limit: bytes; 256 MiB from the start. None leaves it as it is.

    Returns:
        The figures after that.

    Raises:
        ArgumentError: the limit is no whole number, negative, or 2**63 and more.
    """
    if limit is not None:
        if not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit < MOST:
            raise _core.ArgumentError(
                f"pool: limit: expected a whole number from 0 to below 2**63, got {limit!r}"
            )
        _core.limit_pool(limit)
    return Pool(**_core.pool_figures())
