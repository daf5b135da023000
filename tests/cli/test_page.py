"""`fusible graph --html`: what stands in the page, and that a browser can click through it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import fusible
from fusible.page.graph import Steps, statements
from support import browser
from support.command import refused, run
from support.sources import ROOT

NASTY = '</script><script>alert("1")</script>'
GRAPH = f"""
input x: bf16[T, 512]
input residual: bf16[T, 512]
constant w: bf16[512]
constant m: bf16[64, 512]
sum = add(x, residual)
y = rms_norm(sum, w)
unused = softmax(x)
q, s = per_token_group_quant_fp8(y)
n = rms_norm(sum, w, eps=0.5)
z = matmul(n, m)
a, b = per_token_group_quant_fp8(n)
o: bf16[T, 64] = opaque(z, name="{NASTY.replace('"', chr(92) + '"')}")
return q, s, sum, o, a, b
"""
TARGET = "cuda-sm90"


def graph() -> fusible.Graph:
    return fusible.Graph.parse(GRAPH)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / "g.ir").write_text(GRAPH)
    run("graph", str(folder / "g.ir"), "--target", TARGET, "--html", str(folder / "g.html"))
    return folder / "g.html"


def test_each_pass_goes_on_where_the_last_one_ended() -> None:
    manager = fusible.PassManager(None, TARGET)
    run = Steps(graph())
    result, steps = manager.run(graph(), watch=run), run.made
    assert [step.name for step in steps] == manager.pipeline.split(",")
    assert steps[0].before == graph()
    assert all(a.after == b.before for a, b in pairwise(steps))
    assert steps[-1].after == result.graph
    assert sum(len(step.misses) for step in steps) == len(result.misses) > 0
    changed = [step.name for step in steps if step.before != step.after]
    assert changed == [step.name for step in steps if step.rewrites]


def test_statements_are_those_of_the_text() -> None:
    result = fusible.optimize(graph(), "cpu")
    found = statements(result.graph)
    assert "\n".join(found) + "\n" == str(result.graph)
    assert any(line.count("\n") > 2 for line in found)  # a region is one
    assert len(found) == len(result.graph.inputs) + len(result.graph.nodes) + 1


def test_names_stay_text_and_nothing_is_from_outside(path: Path) -> None:
    text = path.read_text()
    assert text.count("<script>") == text.count("</script>") == 1
    assert "&lt;script&gt;alert(" in text
    for word in ("http:", "https:", " src=", " href=", "onclick", "style="):
        assert word not in text
    assert "default-src &#x27;none&#x27;" in text or "default-src 'none'" in text


def test_wrong_input_writes_nothing(tmp_path: Path) -> None:
    page = tmp_path / "g.html"
    assert "expected GRAPH or --model, got neither" in refused("graph", "--html", str(page))
    line = refused("graph", "--model", "qwen3-8b", "--html", str(page), "--pipeline", "nope")
    assert "pipeline: expected passes out of" in line
    assert not page.exists()


def test_a_graph_of_one_line_is_a_page(tmp_path: Path) -> None:
    page = tmp_path / "g.html"
    run("graph", "-", "--html", str(page), stdin="input x: f32[2]\nreturn x\n")
    assert page.read_text().count("<p>none</p>") == 2


@pytest.fixture(scope="module")
def opened(path: Path) -> Iterator[Any]:
    """The page in Chromium."""
    browser.require()
    with browser.Browser(path.parent / "profile") as one:
        one.open(path)
        yield one


def count(opened: Any, selector: str) -> int:
    found = f"Array.from(document.querySelectorAll({selector!r}))"
    shown: int = opened.run(f"{found}.filter(one => one.checkVisibility()).length")
    return shown


def test_a_browser_has_nothing_to_complain_about(opened: Any) -> None:
    shot = ROOT / "build/graph/page.png"  # kept, for whoever wants to see the page
    opened.screenshot(shot)
    assert shot.read_bytes().startswith(b"\x89PNG")
    assert opened.complaints() == []
    assert [url for url in opened.requests() if not url.startswith("file:")] == []
    assert opened.run("document.compatMode") == "CSS1Compat"
    assert opened.run("document.documentElement.scrollWidth <= innerWidth")


def test_a_click_on_each_pass_shows_its_graphs(opened: Any) -> None:
    passes = fusible.PassManager(None, TARGET).pipeline.split(",")
    for number, name in enumerate(passes):
        opened.click(f'.tabs button[data-stage="{number}"]')
        assert count(opened, ".stage") == 1
        title = opened.run("document.querySelector('.stage:not([hidden]) h2').textContent")
        assert title.startswith(f"{number + 1}. {name}: ")
        assert count(opened, ".stage .side") == 2
    opened.click(f'.tabs button[data-stage="{passes.index("fuse-ops")}"]')
    fused = "document.querySelectorAll('.stage:not([hidden]) .side:last-child .fused').length"
    assert opened.run(fused) == sum(fusible.optimize(graph(), TARGET).fusions.values())
    assert count(opened, ".stage .new") > 0
    assert count(opened, ".stage .gone") > 0
    assert opened.complaints() == []


def test_a_click_on_each_near_miss_opens_its_reason(opened: Any) -> None:
    misses = fusible.optimize(graph(), TARGET).misses
    assert misses
    for number, miss in enumerate(misses):
        opened.click(f'.choose[data-miss="{number}"]')
        assert count(opened, "aside dl") == 1
        words = opened.run(f"document.getElementById('miss-{number}').innerText")
        for part in (miss.rule, miss.node, miss.reason, miss.hint, str(miss.saves)):
            assert part in words
    opened.click(f'.choose[data-miss="{len(misses) - 1}"]')
    assert count(opened, "aside dl") == 0
    assert opened.complaints() == []


def test_a_near_miss_in_the_graph_is_clickable_too(opened: Any) -> None:
    opened.click('.choose[data-miss="0"]')
    opened.click('.choose[data-miss="0"]')
    opened.click('.stage:not([hidden]) .miss[data-miss="0"]')
    assert count(opened, "#miss-0") == 1
    assert count(opened, ".stage .chosen") == 1
    assert opened.complaints() == []


def test_a_click_on_a_line_shows_what_it_reads_and_what_reads_it(opened: Any) -> None:
    opened.click('.tabs button[data-stage="0"]')
    opened.click('.stage:not([hidden]) li[data-makes="y"] code')
    side = ".stage:not([hidden]) .side:first-child"
    names = "map(e => e.dataset.makes)"
    feeds = opened.run(f"Array.from(document.querySelectorAll('{side} .feeds')).{names}")
    readers = opened.run(f"Array.from(document.querySelectorAll('{side} .reader')).{names}")
    assert feeds == ["w", "sum"]
    assert readers == ["q s"]
    assert opened.complaints() == []
