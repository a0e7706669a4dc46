"""The page: whole in one file, true to the metrics, and plain about simulated mice."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from explanations import write_explanation
from lmtcnn.core.errors import DataError
from lmtcnn.core.files import read_json
from lmtcnn.evaluate.evaluate import evaluate
from lmtcnn.explain.explain import explain
from lmtcnn.report.report import WANTED, report
from study import seal_evaluation, small_params, write_study

SIMULATED = "SIMULATED MICE: this says nothing about real mice"
MOST_BYTES = 15_000_000


@pytest.fixture(scope="module")
def params():
    return small_params()


@pytest.fixture(scope="module")
def study(tmp_path_factory, params):
    """A finished study of mice that are not simulated."""
    data = tmp_path_factory.mktemp("study")
    write_study(data, params)
    evaluate(data, params)
    explain(data, params)
    return data


class Reader(HTMLParser):
    """Tags, what they ask for, and the text of a page but for what its scripts hold."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.alts: list[str | None] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        if tag == "a":
            self.links.append(given["href"])
        else:
            self.sources += [value for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]
        if tag == "img":
            self.alts.append(given.get("alt"))

    def handle_data(self, data):
        if self.tags and self.tags[-1] not in {"script", "style"}:
            self.text = f"{self.text} {' '.join(data.split())}".strip()


def simulated(study, params):
    """The page of the same study, were its mice simulated."""
    seal_evaluation(study, params, simulated=True)
    page = report(study, params).read_text()
    seal_evaluation(study, params, simulated=False)
    return page


def test_the_page_is_whole_in_one_file_and_asks_nothing_of_anyone(study, params):
    path = report(study, params)
    page = path.read_text()
    found = Reader(page)
    assert all(source.startswith("data:") for source in found.sources)
    assert sum(source.startswith("data:image/png;base64,iVBOR") for source in found.sources) == 7
    assert not {"iframe", "object", "form"} & set(found.tags)
    assert not re.search(r"url\(|@import|https?://|\son\w+=", page)
    assert path.stat().st_size < MOST_BYTES


def test_the_policy_allows_the_pages_own_script_and_no_other(study, params):
    page = report(study, params).read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert f"script-src 'sha256-{digest}';" in policy[1]
    assert policy[1].startswith("default-src 'none';")
    assert Reader(page).tags.count("script") == 2  # the other one holds data


def test_every_picture_has_words_and_every_link_a_place(study, params):
    found = Reader(report(study, params).read_text())
    assert found.alts
    assert all(found.alts)
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))


def test_the_answer_stands_first_in_five_lines(study, params):
    text = Reader(report(study, params).read_text()).text
    order = ["How well?", "Beyond chance?", "What does a simpler method give?", "Where and when do classes differ?"]
    order += ["What could be an artefact?", "What was recorded", "Table 1", "Could it be an artefact?"]
    order += ["How it learned", "Activation maps", "Every sample", "Methods, ready to print", "how to run it again"]
    places = [text.index(words) for words in order]
    assert places[:5] == sorted(places[:5])
    assert "A network labels 100.0% of the samples of cages it never saw right" in text
    assert "This design allows no test" in text or "is shown (p " in text


def test_a_comparison_of_places_and_hours_is_shown_where_there_is_one(tmp_path, params):
    write_study(tmp_path, params)
    evaluate(tmp_path, params)
    explain(tmp_path, params)
    write_explanation(tmp_path, params)
    text = Reader(report(tmp_path, params).read_text()).text
    for words in (
        "Places differ (p 0.005), that hours differ by more than these places is not shown (p 0.4). "
        "AM against AF: dome -3.1 (x 0.05)",
        "Figure 3: where",
        "Figure 4: when",
        "Figure 5: what the network uses",
        "AM against AF -3.10 -4.00 to -2.20 p 0.002",
        "integrated gradients",
    ):
        assert words in text


def test_controls_and_artefacts_stand_side_by_side(study, params):
    text = Reader(report(study, params).read_text()).text
    metrics = read_json(study / "evaluate" / "metrics.json", "metrics", "")
    shown = [f"{metrics[f'control_clock_{key}']:.1%}" for key in ("accuracy", "chance")]
    assert f"the time of day at which a recording began {' '.join(shown)} {metrics['control_clock_p']:.2g}" in text
    assert "length of the recording, h 72 (72 to 72) 72 (72 to 72) 72 (72 to 72) 72 (72 to 72)" in text


def test_what_speaks_against_a_training_stands_beside_the_answer(study, params):
    before = read_json(study / "evaluate" / "metrics.json", "metrics", "")
    seal_evaluation(study, params, notes=["AF is never predicted", "the loss still falls"], train_late_fall=0.3)
    text = Reader(report(study, params).read_text()).text
    seal_evaluation(study, params, notes=[], train_late_fall=0.01)
    without = Reader(report(study, params).read_text()).text
    seal_evaluation(study, params, notes=before["notes"], train_late_fall=before["train_late_fall"])
    assert "Beware: AF is never predicted. Beware: the loss still falls." in text.split("What was recorded")[0]
    assert "How it learned still learning 30.0% of the fall" in text
    assert "Beware" not in without.split("What was recorded")[0]
    assert "still learning" not in without


def test_the_page_gives_the_counts_of_the_study(study, params):
    text = Reader(report(study, params).read_text()).text
    for words in ("16 samples", "8 animals", "4 cages", "8 recordings"):
        assert words in text
    assert "AF sex F, age adult 4 2 62" in text


def test_simulated_mice_are_announced_above_all_else(study, params):
    page = simulated(study, params)
    text = Reader(page[page.index("<body>") :]).text
    assert text.startswith(SIMULATED)
    assert text.count(SIMULATED) == 4
    assert "On simulated mice: A network labels" in text
    assert "so the two tables cannot be compared" in text
    assert "8 simulated mice in 4 cages" in text
    assert "simulated" not in Reader(report(study, params).read_text()).text.lower()


def test_the_paper_stands_beside_its_own_classes(study, params):
    text = Reader(report(study, params).read_text()).text
    assert "arXiv 2412.05158, Table 1: real mice" in text
    assert "JM 9 8 1 6 33.3%" in text


def test_words_of_a_user_are_words_and_not_markup(study):
    page = report(study, small_params(report={"title": "Mice <script>alert(1)</script> & men"})).read_text()
    assert "<script>alert" not in page
    assert "Mice &lt;script&gt;alert(1)&lt;/script&gt; &amp; men" in page


def test_the_same_study_gives_the_same_bytes(study, params):
    assert report(study, params).read_bytes() == report(study, params).read_bytes()


def test_the_page_says_by_what_it_was_made(study, params):
    report(study, params)
    sealed = read_json(study / "report" / "report.json", "the record", "")
    page = (study / "report" / "index.html").read_text()
    assert sealed["training"] in page
    assert list(sealed["inputs"]) == ["histograms", "evaluation", "maps", "predictions"]
    assert all(digest in page for digest in sealed["inputs"].values())


def test_every_missing_file_is_told_with_the_command_that_makes_it(tmp_path, params):
    with pytest.raises(DataError) as caught:
        report(tmp_path, params)
    assert str(caught.value).splitlines() == [
        f"{tmp_path}/{stage}/{name}: expected a file, found none; run `lmtcnn {stage}` first"
        for stage, names in WANTED.items()
        for name in names
    ]


def test_what_is_counted_and_what_looks_forgotten_is_told(study, params):
    text = Reader(report(study, params).read_text()).text
    assert "in each of 3 intervals of 10 s, and tells" in text
    assert "Counted:" not in text


def test_a_cut_and_a_forgotten_rate_stand_on_the_page(tmp_path):
    cut = small_params(histograms__window=[1, 3], histograms__only="night", train__lr=50.0)
    write_study(tmp_path, cut)
    evaluate(tmp_path, cut)
    explain(tmp_path, cut)
    text = Reader(report(tmp_path, cut).read_text()).text
    assert "in each of 2 intervals of 10 s, and tells" in text
    assert "Counted: intervals 1 to 2 of 3 (from 10 s to 30 s), stops of the night (20:00 to 08:00 UTC" in text
    assert "Beware: train.lr 50 with intervals of 10 s is 139 times the paper's" in text


def test_recordings_that_were_left_out_and_the_hours_of_the_start_are_told(study, params):
    text = Reader(report(study, params).read_text()).text
    reasons = "animal 2: detection 33.3 %; 36 h long, 50 % of the 72 h that are counted"
    assert f"Left out of training, as they fail a check c9_adult : {reasons}" in text
    assert "To be looked at c1_adult : TIMESTAMP jumps 2 steps" in text
    assert "Animals that the manifest excludes c2_adult, c23" in text
    assert "Animals of the databases that the manifest does not list c1_adult : c1x; animal 9" in text
    assert "Beware: the hour tells the age." in text
    assert "tracking ok to be looked at failing detected, median AM 2 1 0 87.5% JM 3 1 1 87.5%" in text
    assert "start of the recording AM JM AF JF 09:00 UTC 4 4 4 4" in text
