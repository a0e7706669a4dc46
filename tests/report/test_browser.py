"""The page in a browser: nothing is asked of anyone, no error, and its table sorts, filters and opens."""

import pytest

from browser import browser, chromium
from explanations import write_explanation
from lmtcnn.evaluate.evaluate import evaluate
from lmtcnn.explain.explain import explain
from lmtcnn.report.report import report
from study import small_params, write_study

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium here (Debian: apt install chromium)")

ROWS = "Array.from(document.querySelectorAll('#samples tbody tr.row')).filter(r => !r.hidden)"
DOME = {"dome": {"kind": "dome", "circle_cm": [8.0, 8.0, 7.0]}}


def mixed(sample: dict, seed: int) -> list[float]:
    """Juveniles are taken for AM; the surer, the higher the animal's number."""
    told = 0.4 + 0.1 * sample["animal_id"]
    said = "AM" if sample["age"] == "juvenile" else sample["class"]
    return [told if name == said else (1 - told) / 3 for name in ("AM", "JM", "AF", "JF")]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The page of a small study with everything on it."""
    data, params = tmp_path_factory.mktemp("study"), small_params(zones=DOME)
    write_study(data, params, mixed)
    evaluate(data, params)
    explain(data, params)
    write_explanation(data, params)
    return report(data, params)


@pytest.fixture(scope="module")
def opened(file):
    with browser() as page:
        page.open(file)
        yield page


@pytest.fixture
def page(opened):
    """The page with nothing sorted, filtered or opened; without an error and a request after every test, too."""
    opened.run("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}))")
    for name, value in (("cage", ""), ("class", "")):
        choose(opened, name, value)
    yield opened
    assert opened.errors == []
    assert opened.requests == []


def choose(page, name: str, value: str) -> None:
    page.run(
        f"(() => {{ const e = document.getElementById('{name}'); e.value = '{value}'; "
        "e.dispatchEvent(new Event('change')); })()"
    )


def column(page, number: int) -> list[str]:
    return page.run(f"{ROWS}.map(r => r.cells[{number}].textContent.trim())")


def press_head(page, number: int) -> str:
    """Press a column's head; how it says that it is sorted."""
    head = f"document.querySelectorAll('#samples thead th')[{number}]"
    page.run(f"{head}.querySelector('button').click()")
    return page.run(f"{head}.getAttribute('aria-sort')")


def test_it_opens_without_an_error_and_without_a_request(page):
    assert page.run("document.title") == "Stop maps of mice, by sex and age"
    assert page.run("Array.from(document.images).every(i => i.complete && i.naturalWidth > 0)")


def test_a_script_that_is_not_the_pages_own_does_not_run(file, tmp_path):
    foreign = tmp_path / "foreign.html"
    foreign.write_text(file.read_text().replace("</body>", "<script>document.title = 'foreign'</script></body>"))
    with browser() as page:
        page.open(foreign)
        assert page.run("document.title") != "foreign"
        assert any("Content Security Policy" in error for error in page.errors)


def test_a_request_would_have_been_seen(file, tmp_path):
    asking = tmp_path / "asking.html"
    asking.write_text('<!doctype html><img src="nothing.png" alt="">')
    with browser() as page:
        page.open(asking)
        assert [address.rpartition("/")[2] for address in page.requests] == ["nothing.png"]


def test_a_column_sorts_up_and_down(page):
    before = column(page, 5)
    assert press_head(page, 5) == "ascending"
    up = [float(words.rstrip("%")) for words in column(page, 5)]
    assert up == sorted(float(words.rstrip("%")) for words in before)
    assert len(set(up)) > 2
    assert press_head(page, 5) == "descending"
    assert [float(words.rstrip("%")) for words in column(page, 5)] == up[::-1]
    assert press_head(page, 0) == "ascending"
    assert column(page, 0) == sorted(column(page, 0))
    assert page.run("document.querySelectorAll('#samples thead th[aria-sort=none]').length") == 7


def test_samples_are_filtered_by_cage_class_and_error(page):
    assert len(column(page, 0)) == 16
    choose(page, "cage", "c1")
    assert column(page, 1) == ["c1"] * 4
    choose(page, "class", "AF")
    assert column(page, 2) == ["AF"] * 2
    assert page.run("document.getElementById('shown').textContent") == "2 of 16 samples"
    choose(page, "cage", "")
    choose(page, "class", "")
    page.run("document.getElementById('wrong').click()")
    assert column(page, 3) == ["AM"] * 8
    assert set(column(page, 2)) == {"JM", "JF"}
    page.run("document.getElementById('wrong').click()")
    assert len(column(page, 0)) == 16


def test_a_sample_opens_with_its_map_and_what_speaks_for_its_class(page):
    name = column(page, 0)[1]
    page.run(f"{ROWS}[1].querySelector('button').click()")
    text = page.run("document.querySelector('tr.detail').innerText")
    assert "Held out with c" in text
    assert "mean of AM" in text
    assert "this sample" in text
    assert "dome" in text
    labels = page.run(
        "Array.from(document.querySelectorAll('tr.detail canvas')).map(c => c.getAttribute('aria-label'))"
    )
    assert labels[0] == f"Where stops lie on the floor: {name}"
    assert labels[1].startswith("What the networks use: what speaks for ")
    assert labels[-2].startswith("Stops by interval")
    assert labels[-1].startswith("Attribution by interval: above 0, red, speaks for ")
    assert "What speaks for " in text
    assert "By networks that never saw its cage; no significance is claimed." in text
    drawn = (
        "Array.from(document.querySelectorAll('tr.detail canvas')).map(c => { "
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; "
        "return new Set(Array.from({length: d.length / 4}, (_, i) => d[4 * i])).size; })"
    )
    colours = page.run(drawn)
    assert min(colours[:2]) > 5
    assert min(colours) > 2
    page.run(f"{ROWS}[1].querySelector('button').click()")
    assert page.run("document.querySelectorAll('tr.detail').length") == 0


def test_everything_works_by_keyboard(page):
    page.run(f"{ROWS}[0].querySelector('button').focus()")
    page.press("Enter")
    assert page.run("document.activeElement.getAttribute('aria-expanded')") == "true"
    assert page.run("document.querySelectorAll('tr.detail').length") == 1
    page.press("Escape")
    assert page.run("document.querySelectorAll('tr.detail').length") == 0
    sorted_by = "Array.from(document.querySelectorAll('#samples thead th')).map(h => h.getAttribute('aria-sort'))"
    press_head(page, 7)
    page.run("document.querySelector('#samples thead th button').focus()")
    page.press(" ")
    assert page.run(sorted_by) == ["ascending"] + ["none"] * 7
    page.press("Tab")
    assert page.run("document.activeElement.textContent") == "cage"


@pytest.mark.parametrize("width", [1400, 400])
def test_nothing_is_wider_than_the_window_and_no_letter_too_small(page, width):
    page.resize(width)
    page.run(f"{ROWS}[0].querySelector('button').click()")
    assert page.run("document.documentElement.scrollWidth") <= width
    smallest = (
        "Math.min(...Array.from(document.querySelectorAll('body *')).filter(e => e.innerText && e.offsetParent)"
        ".map(e => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert page.run(smallest) >= 12
    page.resize(1400)


def test_no_table_is_cut_on_paper(page):
    page.ask("Emulation.setEmulatedMedia", media="print")
    page.resize(718)  # A4 less margins of 1 cm
    edges = "Array.from(document.querySelectorAll('table')).map(t => t.getBoundingClientRect().right)"
    assert max(page.run(edges)) <= 718
    page.ask("Emulation.setEmulatedMedia", media="")
    page.resize(1400)
