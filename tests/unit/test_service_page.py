"""The page of the service, in a real browser."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("fastapi", reason="no fastapi here: the service is not tested")

from browser import CHROMIUM, browsing
from running_service import serving

from tagdistill.tagger.results import Span, Tagged

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: the page is not tested"),
]
ATTACK = "<img src=http://evil.example/x onerror=alert(1)>"
ENGLISH = f"😀 Angela Merkel met Ada\nin Paris. {ATTACK}"
ARABIC = "زارت أنجيلا ميركل باريس."


class Names:
    """A tagger that knows names."""

    task, labels, decode = "ner", ("O", "B-PER", "E-PER", "S-PER", "S-LOC"), "constrained"
    known = (("PER", "Angela Merkel"), ("LOC", "Paris"), ("PER", "أنجيلا ميركل"), ("LOC", "باريس"))

    def __call__(self, texts, **options):
        return [self._tagged(text) for text in texts]

    def _tagged(self, text: str) -> Tagged:
        found = [(text.find(name), label, name) for label, name in self.known if name in text]
        spans = [Span(label, name, at, at + len(name), 0.875, (0, 1)) for at, label, name in sorted(found)]
        return Tagged(text, (), (), (), tuple(spans))


@pytest.fixture(scope="module")
def running():
    with serving(Names()) as found:
        yield found


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browsing(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def tab(browser, running):
    browser.resize(1000, 800)
    browser.asked.clear()
    browser.open(f"http://127.0.0.1:{running.port}/")
    browser.wait("document.querySelectorAll('#legend mark').length === 2")
    return browser


def label(tab, text: str) -> None:
    """Type a text and have it labelled, by keyboard alone."""
    assert tab.evaluate("document.activeElement.id") == "text"
    tab.do("Input.insertText", text=text)
    tab.press("Enter", control=True)
    tab.wait("!document.getElementById('result').hidden")


def test_spans_stand_in_the_text_with_their_scores(tab):
    label(tab, ENGLISH)
    parts = tab.evaluate("[...document.querySelectorAll('#result mark')].map(m => [m.firstChild.data, m.title])")
    assert parts == [["Angela Merkel", "PER 0.875"], ["Paris", "LOC 0.875"]]
    shown = tab.evaluate(
        "[...document.getElementById('result').childNodes].map(n => n.data ?? n.firstChild.data).join('')"
    )
    assert shown == ENGLISH
    colours = tab.evaluate("[...document.querySelectorAll('mark')].map(m => getComputedStyle(m).backgroundColor)")
    assert len(set(colours)) == 2
    assert tab.evaluate("document.querySelectorAll('#result img').length") == 0
    assert tab.evaluate("document.getElementById('status').textContent").startswith("2 spans")


def test_it_works_from_the_keyboard(tab):
    label(tab, "Angela Merkel in Paris")
    tab.press("Tab")
    assert tab.evaluate("document.activeElement.type") == "submit"
    tab.press("Tab")
    focused = "document.activeElement.getAttribute('aria-label')"
    assert tab.evaluate(focused) == "Angela Merkel: PER, score 0.875"
    shown = "getComputedStyle(document.activeElement.querySelector('small'), '::after').content"
    assert "0.875" in json.dumps(tab.evaluate(shown)) or "attr" in tab.evaluate(shown)
    tab.press("Tab")
    assert tab.evaluate(focused) == "Paris: LOC, score 0.875"
    tab.press("Tab", shift=True)
    tab.press("Tab", shift=True)
    tab.evaluate("document.getElementById('result').hidden = true")
    tab.press("Enter")
    tab.wait("!document.getElementById('result').hidden")


def test_text_is_read_in_its_own_direction(tab):
    label(tab, ARABIC)
    assert tab.evaluate("getComputedStyle(document.getElementById('text')).direction") == "rtl"
    assert tab.evaluate("getComputedStyle(document.getElementById('result')).direction") == "rtl"
    # the first name stands to the right of the second one
    assert tab.evaluate(
        "(([a, b]) => a.getBoundingClientRect().left > b.getBoundingClientRect().left)"
        "([...document.querySelectorAll('#result mark')])"
    )


def test_it_fits_a_phone(tab):
    tab.resize(360, 740)
    label(tab, ENGLISH + " " + "x" * 500)
    assert tab.evaluate("document.documentElement.scrollWidth <= 360")
    assert tab.evaluate("document.querySelector('button').getBoundingClientRect().height >= 44")


def test_it_asks_nobody_else_for_anything(tab, running):
    label(tab, ENGLISH)
    assert {address.partition("?")[0] for address in tab.asked if not address.startswith("data:")} == {
        f"http://127.0.0.1:{running.port}{path}" for path in ("/", "/page.css", "/page.js", "/v1/model", "/v1/tag")
    }


def test_what_is_refused_is_told(tab):
    tab.do("Input.insertText", text="x" * 20_001)
    tab.press("Enter", control=True)
    tab.wait("document.getElementById('status').className === 'error'")
    assert "at most 20000" in tab.evaluate("document.getElementById('status').textContent")
