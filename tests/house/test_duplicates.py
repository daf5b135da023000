"""No block of eight lines stands twice: what is the same is written once."""

import collections
import re

from support.sources import GENERATED, files, name

BLOCK = 8
FOLDERS = ("csrc", "python", "tests", "ci", "benchmarks")
# Not counted: blank lines, lone brackets, includes, imports, what a kernel file must begin with.
IDLE = re.compile(
    r"^(#.*|//.*|[\[\](){};,]*|from .*|import .*|namespace .*|HWY_\w+\(\);|using .*)$"
)


def counted_lines(path):
    """(number, text without extra spaces) of the lines that count."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = " ".join(line.split())
        if not IDLE.match(text):
            yield number, text


def duplicates(paths):
    """Pairs of places where the same block begins; of overlapping ones only the first."""
    places = collections.defaultdict(list)
    for path in paths:
        lines = list(counted_lines(path))
        for i in range(len(lines) - BLOCK + 1):
            block = tuple(text for _, text in lines[i : i + BLOCK])
            places[block].append((path, lines[i][0], i))
    last = {}
    for found in places.values():
        for other in found[1:]:
            pair, offset = (found[0][0], other[0]), other[2] - found[0][2]
            if last.get(pair) != offset:
                yield f"{name(found[0][0])}:{found[0][1]} = {name(other[0])}:{other[1]}"
            last[pair] = offset


def test_no_block_stands_twice():
    paths = files(*FOLDERS, suffixes=(".cc", ".h", ".py", ".pyi", ".txt"))
    assert list(duplicates(p for p in paths if name(p) not in GENERATED)) == []


def test_finds_a_copy(tmp_path):
    body = "\n".join(f"x{i} = {i}" for i in range(BLOCK + 2))
    for file in ("a.py", "b.py"):
        (tmp_path / file).write_text(f"# {file}\n\n{body}\n")
    assert list(duplicates([tmp_path / "a.py", tmp_path / "b.py"])) == ["a.py:3 = b.py:3"]
