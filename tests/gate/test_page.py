"""The page of a report: what stands in it, and that a browser has nothing against it."""

import html.parser
import math
import random
import re

import pytest

from fusible.gate import page
from fusible.gate.history import Point
from fusible.gate.model import Better, Finding, Report, Series, Verdict
from fusible.gate.plots import percent
from support import browser
from support.sources import ROOT

NASTY = '<script>alert("1")</script> & \x00\u202e\ud800</style>'
FINDINGS = (
    Finding("decode", Verdict.REGRESSED, 1.08, 1.06, 1.10, 24, 1e-9),
    Finding("throughput", Verdict.UNCHANGED, 0.99, 0.97, 1.01, 24, 0.2, "1/s", Better.HIGHER),
    Finding("prefill", Verdict.IMPROVED, 0.9, 0.88, 0.92, 24, 1e-6, bootstrap=(0.89, 0.91)),
    Finding(NASTY, Verdict.INCONCLUSIVE, 1.01, 0.2, math.inf, 24, 0.3, reason=NASTY, more_rounds=9),
    Finding("gone", Verdict.MISSING, math.nan, 0, math.inf, 0, math.nan, reason="no samples"),
    Finding("fusions", Verdict.REGRESSED, math.inf, math.inf, math.inf, 1, 0.0, "fusions"),
    Finding("copy", Verdict.ADVISORY, 1.0, 1.0, 1.0, 24, 0.5, control=True),
)
REPORT = Report(
    FINDINGS,
    Verdict.REGRESSED,
    (f"a note {NASTY}",),
    Finding("geometric mean", Verdict.UNCHANGED, 1.01, 0.99, 1.03, 24, 0.1, control=True),
)


def series(name, mean, count=24):
    rng = random.Random(5)
    values = tuple(mean * rng.lognormvariate(0, 0.02) for _ in range(count))
    return Series(name, values)


def points():
    rng = random.Random(7)
    return [
        Point(name, tuple(mean * rng.lognormvariate(0, 0.01) for _ in range(5)), commit=f"{i:040x}")
        for name in ("decode", NASTY.encode("utf-8", "replace").decode())
        for i, mean in enumerate([100.0] * 12 + [112.0] * 12)
    ]


def rendered():
    base = [series("decode", 100), series(NASTY, 5), series("constant", 1)]
    return page.render(REPORT, points(), base, [series("decode", 108)], title=f"gate {NASTY}")


def test_a_card_shows_the_interval_by_bootstrap_beside_the_one_that_decided():
    text = page.render(REPORT, (), [series("prefill", 100)], [series("prefill", 90)])
    expected = f"by bootstrap over rounds, which decides nothing, {percent(0.89)} to"
    assert expected in text
    assert text.count("by bootstrap") == 1


class Tags(html.parser.HTMLParser):
    """Collects tags, attributes and the text outside of script and style."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.open.append(tag)

    def handle_endtag(self, tag):
        self.open.append(f"/{tag}")

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)


def parsed():
    found = Tags()
    found.feed(rendered())
    return found


def test_names_stay_text():
    found = parsed()
    assert found.tags.count("script") == 1
    assert found.tags.count("style") == 1
    assert '<script>alert("1")</script>' in "".join(found.text)
    assert not any(char in rendered() for char in "\x00\u202e\ud800")


def test_nothing_is_from_outside():
    names = {name for name, _ in parsed().attributes}
    assert names.isdisjoint({"src", "srcset", "style", "action", "onclick", "onload", "xlink:href"})
    links = [value for name, value in parsed().attributes if name == "href"]
    assert links
    assert all(link.startswith("#metric-") for link in links)
    assert "http:" not in rendered()
    assert "https:" not in rendered()


def test_the_worst_stands_first_and_control_is_named():
    words = "\n".join(parsed().text)
    order = [words.index(name) for name in ("decode", "gone", "copy", "prefill", "throughput")]
    assert order == sorted(order)
    assert "6 metrics: 2 regressed" in words
    assert "controls: 1" in words
    assert "exit status 1" in words


def test_change_points_are_drawn():
    assert "History: 24 runs, 1 change" in rendered()
    assert "+12." in rendered()


def test_an_empty_report_is_a_page(tmp_path):
    page.write(tmp_path / "page.html", Report((), Verdict.MISSING))
    assert "no metrics" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("values", [(1.0,), (2.0, 2.0, 2.0), (1e-12, 1e12)])
def test_samples_of_any_spread_are_drawn(values):
    one = Series("decode", values)
    text = page.render(REPORT, [Point("decode", values)], [one], [one])
    assert re.findall(r'="(?:nan|-?inf)"', text) == []


def test_many_samples_make_no_large_page():
    one = Series("decode", tuple(1.0 + i % 7 for i in range(50_000)))
    assert len(page.render(REPORT, (), [one], [one])) < 200_000


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """The page in Chromium."""
    browser.require()
    folder = tmp_path_factory.mktemp("page")
    path = folder / "page.html"
    path.write_text(rendered())
    with browser.Browser(folder / "profile") as one:
        one.open(path)
        yield one


def names(opened):
    script = "Array.from(document.querySelectorAll('tbody tr')).filter(r => !r.hidden)"
    return opened.run(f"{script}.map(r => r.cells[0].dataset.sort)")


def test_a_browser_has_nothing_to_complain_about(opened):
    shot = ROOT / "build/gate/page.png"  # kept, for whoever wants to see the page
    opened.screenshot(shot)
    assert shot.read_bytes().startswith(b"\x89PNG")
    assert opened.complaints() == []
    assert [url for url in opened.requests() if not url.startswith("file:")] == []
    assert opened.run("document.compatMode") == "CSS1Compat"
    # Nothing is wider than the window.
    assert opened.run("document.documentElement.scrollWidth <= innerWidth")


def test_a_click_sorts_the_table(opened):
    head = "thead th:nth-child(3)"
    opened.click(f"{head} button")
    assert opened.run(f"document.querySelector('{head}').ariaSort") == "ascending"
    first = names(opened)
    assert first[:3] == ["prefill", "throughput", "copy"]
    assert first[-2:] == ["fusions", "gone"]
    opened.click(f"{head} button")
    assert opened.run(f"document.querySelector('{head}').ariaSort") == "descending"
    assert names(opened)[:2] == ["fusions", "decode"]
    assert names(opened)[-1] == "gone"
    opened.click("thead th:nth-child(1) button")
    assert names(opened) == sorted(names(opened), key=str.lower)
    assert opened.complaints() == []


def test_a_click_on_a_verdict_hides_its_metrics(opened):
    count = len(names(opened))
    opened.click(".tools button.regressed")
    assert len(names(opened)) == count - 2
    assert opened.run("document.querySelector('.card.regressed').checkVisibility()") is False
    opened.click(".tools button.regressed")
    assert len(names(opened)) == count


def test_typing_filters_by_name(opened):
    opened.click(".tools input")
    opened.call("Input.insertText", text="PREF")
    assert names(opened) == ["prefill"]
    opened.run("document.querySelector('.tools input').value = ''")
    assert opened.complaints() == []
