import json
import re
from dataclasses import asdict, fields, is_dataclass, replace
from html.parser import HTMLParser

import pytest

from werk.pipelines.story import (
    Again,
    Approval,
    Champion,
    Check,
    Checked,
    Cost,
    Followed,
    GateVerdict,
    Kept,
    Landed,
    Link,
    Month,
    Proof,
    Retrain,
    Rule,
    Rung,
    Said,
    Stage,
    Story,
    render,
)
from werk.pipelines.story.markup import VOID

MONITORS = ("data quality", "feature drift", "prediction drift", "model quality", "bias", "explanation drift", "cost")
SHARES = {"July": 0.238, "August": 0.162, "September": 0.088, "October": 0.098, "November": 0.102, "December": 0.217}
FIRST = (0.805, 0.779, 0.793, 0.781, 0.768, 0.765)
BY = ("flight-delay:1", "flight-delay:1", "flight-delay:1", "flight-delay:2", "flight-delay:2", "flight-delay:2")


def said(monitor: str, window: str) -> Said:
    if monitor == "model quality" and window in ("September", "October", "November"):
        share = f"{SHARES[window] * 100:.1f} %"
        sentence = f"{window}: {share} of the flights were late, 19.2 % at acceptance: a shift beyond the limit (h -0.31)"
        return Said(monitor, window, "violation", sentence)
    if monitor == "explanation drift" and window == "December":
        return Said(monitor, window, "cannot say", f"{window}: cannot say: there are no attributions to compare")
    return Said(monitor, window, "ok", f"{window}: as at acceptance")


SAMPLE = Story(
    project="flight-delay",
    goal="tell, an hour before departure, whether a flight from New York will arrive at least half an hour late",
    made_at="23 November 2026, 11:40 UTC",
    outcome="late",
    things="flights",
    loop=(
        Stage("land", "5 tables, 380,891 rows"),
        Stage("check", "2,512 rows set aside"),
        Stage("features", "as known an hour before"),
        Stage("train", "January to June"),
        Stage("gate", "1 refused, 1 passed", "refused"),
        Stage("approve", "by a second person"),
        Stage("predict", "169,521 flights"),
        Stage("monitor", "September: violation"),
    ),
    landed=(
        Landed(
            "raw.flights",
            336_776,
            334_264,
            2_512,
            (
                Check("tailnum is required", 2_512, quarantined=True),
                Check("tailnum is known in raw.planes", 52_606),
                Check("arr_delay is present", 9_430),
                Check("carrier is one of raw.airlines", 0),
            ),
        ),
        Landed("raw.weather", 26_115, 26_115, 0, (Check("wind_gust is present", 20_778),)),
        Landed("raw.planes", 3_322, 3_322, 0),
        Landed("raw.airports", 1_458, 1_458, 0),
        Landed("raw.airlines", 16, 16, 0),
    ),
    champion=Champion("flight-delay:2", 0.784, 0.776, 0.792, 40_786),
    ladder=(
        Rung("schedule and plane", 0.632),
        Rung("+ weather as known then", 0.701),
        Rung("+ delays of flights already gone", 0.778),
    ),
    gates=(
        GateVerdict(
            "a deliberately poor model",
            False,
            (Rule("auc", False, "0.561, at least 0.70"), Rule("golden points", True, "5 of 5")),
            "Its report is kept; no version was made.",
        ),
        GateVerdict(
            "flight-delay:1",
            True,
            (
                Rule("auc", True, "0.778, at least 0.70"),
                Rule("golden points", True, "5 of 5"),
                Rule("more rain, more risk", True),
            ),
        ),
    ),
    months=tuple(
        Month(window, 28_000 + 11 * at, share, FIRST[at], BY[at], (Again("flight-delay:3", 0.771),) if at == 5 else ())
        for at, (window, share) in enumerate(SHARES.items())
    ),
    retrains=(
        Retrain(
            "September",
            "8.8 % of the flights were late, 19.2 % at acceptance: the monitors started a retraining on January to September.",
            "flight-delay:1",
            "flight-delay:2",
        ),
    ),
    verdicts=tuple(said(monitor, window) for monitor in MONITORS for window in SHARES),
    kept=(
        Kept("flight-delay:2", "flight-delay:1", "held out", 40_786, 0.784, 0.766, 0.014, 0.023, later=False),
        Kept("flight-delay:2", "flight-delay:1", "October to December", 82_609, 0.775, 0.767, 0.006, 0.010),
    ),
    prediction=Followed(
        "prd_5f2c9a1be07734d2aa10",
        "On 14 September 2013 the model gave UA 1545 to Houston a risk of 31.4 %; it arrived 42 minutes late.",
        (
            Link("prediction", "prd_5f2c9a1be07734d2aa10", "score 0.314"),
            Link("model version", "flight-delay:1", "canonical hash 9f31c2d07be4..."),
            Link("training run", "run_0d8e1f2a55c3b7719e42", "7 steps, git 4e1a9c7 (clean)"),
            Link("table version", "raw.flights@1", "contract b41c77..."),
            Link("source row", "flights.parquet, row 248,113", "sha256 77ad0c1e..."),
        ),
        (("carrier", "UA"), ("flight", "1545"), ("dep_delay", "38")),
        "raw.flights@1 from flights.parquet",
    ),
    approvals=(
        Approval(
            "flight-delay:1", "Mara Lindqvist", "local (own token)", "23 Nov 2026, 11:38 UTC", comment="Agreed with operations"
        ),
        Approval("flight-delay:2", "Mara Lindqvist", "local (own token)", "23 Nov 2026, 11:39 UTC"),
        Approval(
            "deployment of flight-delay:1", "approval trigger", "by rule", "23 Nov 2026, 11:38 UTC", "deployed", by_human=False
        ),
    ),
    costs=(
        Cost("training, twice", 41.2, 58.1, 0.0007),
        Cost("predicting six months", 12.9, 20.4, 0.0002),
        Cost("monitors", 2.1, 3.3, 0.0001),
    ),
    proof=Proof(
        "6f0b2f6de1c7a9d54b8e1b7a5a0d94e6c2f17f7b3c5d6e8f9a0b1c2d3e4f5a6b",
        184,
        "b0" * 32,
        (
            Checked("werk audit verify", "holds: 184 facts in one chain", "Every fact hashed again:"),
            Checked("werk rebuild flight-delay:1 --verify", "identical"),
        ),
        "flight-delay:1 was trained again from its recorded inputs in a new process: identical",
    ),
)
EMPTY = Story("flight-delay")


class Tree(HTMLParser):
    """Fails on anything not closed in order and collects what a reader and a browser would meet."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text.append(data)


def poisoned(value: object) -> object:
    """The same story with every text replaced by one that tries to break out."""
    if isinstance(value, str):
        return f'{value}</td></svg><script>alert(1)</script><b title="\'" onload=x>&amp;'
    if isinstance(value, tuple):
        return tuple(poisoned(one) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        kept = {"verdict", "state", "came"}
        changes = {f.name: poisoned(getattr(value, f.name)) for f in fields(value) if f.name not in kept}
        return replace(value, **changes)
    return value


def test_the_whole_story_is_told() -> None:
    text = " ".join(Tree(render(SAMPLE)).text)
    for expected in ("23.8 %", "8.8 %", "334,264", "52,606", "refused", "flight-delay:2", "identical", SAMPLE.proof.head_hash):  # type: ignore[union-attr]
        assert expected in text
    assert "Not yet" not in text
    assert "holds: 184 facts in one chain" in text
    assert "The row itself, as it landed in raw.flights@1" in text


def test_nothing_is_loaded_run_or_too_large() -> None:
    page = render(SAMPLE)
    assert len(page.encode()) < 500_000
    names = {name for name, _ in Tree(page).tags}
    assert names.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "base", "form"})
    assert not re.search(r"https?://|@import|url\((?!#)|javascript:", page)


def test_no_text_can_break_out() -> None:
    story = poisoned(SAMPLE)
    assert isinstance(story, Story)
    good, bad = Tree(render(SAMPLE)), Tree(render(story))
    assert {name for name, _ in bad.tags} == {name for name, _ in good.tags}
    assert not any("onload" in attributes or "title" in attributes for _, attributes in bad.tags)
    assert "<script>" in " ".join(bad.text)


@pytest.mark.parametrize("name", [f.name for f in fields(Story) if f.name != "project"])
def test_every_part_may_be_missing(name: str) -> None:
    tree = Tree(render(replace(SAMPLE, **{name: getattr(EMPTY, name)})))
    assert len([1 for tag, _ in tree.tags if tag == "section"]) == 11


def test_an_empty_story_says_not_yet_everywhere() -> None:
    text = " ".join(Tree(render(EMPTY)).text)
    assert text.count("Not yet:") == 11
    assert "Nothing has happened yet." in text


def test_months_without_outcomes_are_drawn_without_numbers() -> None:
    bare = replace(SAMPLE, months=(Month("July", 3), Month("August", 0, 0.0, 0.5)), kept=(), retrains=())
    assert "August 0.500" in render(bare)
    assert "no outcome is known" in render(replace(bare, months=(Month("July", 3),)))


def test_rows_that_do_not_add_up_are_shown_as_such() -> None:
    page = render(Story("p", landed=(Landed("raw.x", 10, 4, 1),)))
    assert "no: +5 rows" in page
    assert "Not all of them are accounted for." in page
    assert "1 that broke a required rule was set aside" in page
    assert "All are accounted for." not in page


def test_a_screen_reader_is_served() -> None:
    tree = Tree(render(SAMPLE))
    assert next(attributes for name, attributes in tree.tags if name == "html")["lang"] == "en"
    drawings = [a for name, a in tree.tags if name == "svg"]
    assert all(a.get("aria-label") or a.get("aria-hidden") == "true" for a in drawings)
    assert sum(name == "h1" for name, _ in tree.tags) == 1
    assert sum(name == "caption" for name, _ in tree.tags) == sum(name == "table" for name, _ in tree.tags)
    ids = [a["id"] for _, a in tree.tags if "id" in a]
    assert len(ids) == len(set(ids))


def test_the_story_is_plain_json() -> None:
    assert json.loads(json.dumps(asdict(SAMPLE)))["project"] == "flight-delay"
    assert render(SAMPLE) == render(SAMPLE)


def test_what_ranks_right_is_said_in_cases_of_a_hundred() -> None:
    text = " ".join(Tree(render(SAMPLE)).text)
    assert "it gave the late one the higher risk in 76 to 80 of 100 cases, depending on the window (guessing: 50)" in text


def test_two_retrainings_are_both_told_and_both_drawn() -> None:
    again = (*SAMPLE.retrains, Retrain("November", "10.2 % were late", "flight-delay:2", "flight-delay:3"))
    tree = Tree(render(replace(SAMPLE, retrains=again)))
    assert sum(attributes.get("class") == "retrain" for _, attributes in tree.tags) == 4, "each above and below"
    text = " ".join(tree.text)
    assert "found in September and in November started a retraining by itself each time." in text
    assert "flight-delay:2 did better than flight-delay:1 on the 82,609 flights of October to December." in text
    assert "flight-delay:3 has not been compared with flight-delay:2." in text


def test_a_model_that_met_other_rules_leaves_its_cells_empty() -> None:
    old = GateVerdict("flight-delay:0", True, (Rule("auc", True, "0.8"),))
    page = render(replace(SAMPLE, gates=(*SAMPLE.gates, old)))
    assert "Each rule&#x27;s answer for each model" in page


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.001, 0.01, "did better than"),
        (-0.02, -0.001, "did worse than"),
        (-0.01, 0.01, "did neither clearly better nor worse than"),
    ],
)
def test_each_retrained_version_is_told_by_its_own_outcome(low: float, high: float, said: str) -> None:
    pair = Kept("flight-delay:2", "flight-delay:1", "October", 900, 0.7, 0.7, low, high)
    text = " ".join(Tree(render(replace(SAMPLE, kept=(pair,)))).text)
    assert f"flight-delay:2 {said} flight-delay:1 on the 900 flights of October." in text
    held = replace(pair, later=False)
    text = " ".join(Tree(render(replace(SAMPLE, kept=(held,)))).text)
    assert "on 900 flights that neither was trained on; the two have not been compared on later ones." in text
    other = replace(pair, old="flight-delay:0")
    text = " ".join(Tree(render(replace(SAMPLE, kept=(other,)))).text)
    assert "flight-delay:2 has not been compared with flight-delay:1." in text


def test_a_month_scored_again_stands_apart() -> None:
    tree = Tree(render(SAMPLE))
    assert sum(attributes.get("class") == "dot again" for _, attributes in tree.tags) == 2, "one in the drawing, one in its key"
    rows = table(render(SAMPLE), "Every window and who scored it")
    assert rows[-1] == ["December, again", "the same", "the same", "flight-delay:3", "0.771"]
    assert "v3: 0.771" in tree.text


def test_the_first_number_is_the_model_in_use_and_not_the_study() -> None:
    page = render(SAMPLE)
    facts = page[page.index('class="facts"') : page.index("</ul>")]
    assert "0.784" in facts
    assert "AUC of flight-delay:2 on its hold-out" in facts
    assert "0.778" not in facts
    bare = render(replace(SAMPLE, champion=None))
    assert "hold-out" not in bare[bare.index('class="facts"') : bare.index("</ul>")]
    assert "None of these models was registered or ever answered." in page


def test_a_rule_without_anything_to_compare_is_not_called_passed() -> None:
    gate = GateVerdict("flight-delay:1", True, (Rule("champion.auc", True, "There is nothing to compare with.", checked=False),))
    text = " ".join(Tree(render(replace(SAMPLE, gates=(gate,)))).text)
    assert "nothing to compare" in text
    assert "passed" not in text[text.index("The gate") : text.index("The windows that")].replace("passes every rule", "")


def table(page: str, caption: str) -> list[list[str]]:
    """Head and rows of the table under exactly this caption, as text."""
    start = page.index(f"<caption>{caption}</caption>")
    rows = re.findall(r"<tr>(.*?)</tr>", page[start : page.index("</table>", start)], re.DOTALL)
    return [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]


def test_a_gate_with_many_columns_is_shown_in_tables_of_which_each_fits() -> None:
    many = tuple(GateVerdict(f"m:{at}", at != 4, (Rule("auc", at != 4), Rule(f"own-{at}", True))) for at in range(1, 8))
    page = render(replace(SAMPLE, gates=many))
    first, second = (table(page, f"Each rule&#x27;s answer for each model{more}") for more in ("", ", continued"))
    assert first[0] == ["rule", "m:1", "m:2", "m:3", "m:4refused"]
    assert second[0] == ["rule", "m:5", "m:6", "m:7"]
    assert first[1] == ["auc", "passed", "passed", "passed", "broken"]
    assert second[1] == ["auc", "passed", "passed", "passed"]
    assert [row[0] for row in second] == ["rule", "auc", "own-5", "own-6", "own-7", "decision"], "only what one of them met"
    assert second[3] == ["own-6", "", "passed", ""]
    assert first[-1][4] == "refused"
    assert second[-1] == ["decision", "registered", "registered", "registered"]


def test_a_monitor_that_had_nothing_new_to_say_is_told_as_before() -> None:
    one, more = ("flight-delay:1", "flight-delay:2")
    told = (
        Said("bias", "July", "ok", "July: fine", one),
        Said("model quality", "July", "violation", "July: bad", one),
        Said("model quality", "July", "ok", "July: good", one, time=2),
        Said("model quality", "July", "violation", "July: bad again", one, time=3),
        Said("model quality", "August", "ok", "August: good", more),
    )
    rows = table(
        render(replace(SAMPLE, verdicts=told)), "Each monitor&#x27;s answer for each window, and the version it is about"
    )
    assert rows[0] == ["monitor", f"July{one}", f"July{one}, again", f"July{one}, time 3", f"August{more}"]
    assert rows[1:] == [
        ["model quality", "violation", "ok", "violation", "ok"],
        ["bias", "ok", "as before", "as before", "not checked"],
    ]


def test_windows_beyond_one_table_go_on_in_the_next() -> None:
    told = tuple(Said("bias", f"w{at:02}", "ok", "fine", "m:1") for at in range(15))
    page = render(replace(SAMPLE, verdicts=told))
    caption = "Each monitor&#x27;s answer for each window, and the version it is about"
    heads = [*table(page, caption)[0][1:], *table(page, f"{caption}, continued")[0][1:]]
    assert heads == [f"w{at:02}m:1" for at in range(5)] + [f"w{at:02}m:1" for at in range(5, 10)]
    assert page.count("m:1</span></th>") == 15


def test_checks_that_found_nothing_are_counted_and_never_an_empty_heading() -> None:
    clean = Landed("raw.x", 10, 10, 0, (Check("a", 0), Check("b", 0)))
    assert "<p>Two checks found nothing.</p>" in render(replace(EMPTY, landed=(clean,)))
    bare = render(replace(EMPTY, landed=(replace(clean, checks=()),)))
    assert "<p>No rule was checked.</p>" in bare
    assert "checked on arrival" not in bare
    assert "10 records came in; no rule was set for them to keep." in bare
    loose = render(replace(EMPTY, landed=(replace(clean, checks=(), contract=False),)))
    assert "10 records came in; there was no contract to check them against." in loose
    some = replace(clean, checks=(*clean.checks, Check("c", 3)))
    rows = table(render(replace(EMPTY, landed=(some,))), "What the checks found; two further checks found nothing")
    assert rows[1:] == [["raw.x", "c", "3", "kept and reported"]]


def test_amounts_of_a_column_have_as_many_digits_as_each_other() -> None:
    def amounts(*eur: float | None) -> list[str]:
        costs = tuple(Cost("work", 1.0, 1.0, one) for one in eur)
        return [
            row[3] for row in table(render(replace(EMPTY, costs=costs)), "Measured use, priced by the project&#x27;s price file")
        ]

    assert amounts(0.00026, 0.000051, 0.0000004) == ["EUR", "0.000260", "0.000051", "below 0.000001", "0.000311"]
    assert amounts(1234.5, 0.001, 0.0) == ["EUR", "1,234.50", "below 0.01", "0.00", "1,234.50"]
    assert amounts(0.5, None) == ["EUR", "0.500", "no price", "no price"]
    assert amounts(0.0) == ["EUR", "0.00", "0.00"]


def test_a_head_that_was_not_signed_here_is_not_called_signed() -> None:
    assert SAMPLE.proof
    assert "signed head</dt>" in render(SAMPLE)
    assert "head, not signed here</dt>" in render(replace(SAMPLE, proof=replace(SAMPLE.proof, signed=False)))


def test_a_study_of_one_model_is_told_as_one() -> None:
    text = " ".join(Tree(render(replace(SAMPLE, ladder=(Rung("all", 0.7, 5),)))).text)
    assert "One kind of model, trained once, judged on 5 later flights." in text
    assert "This model was not registered and never answered." in text


def test_what_came_of_each_retraining_is_told_by_its_window() -> None:
    one = SAMPLE.retrains[0]
    again = replace(one, came="known", challenger="flight-delay:1")
    refused = replace(one, window="2013-10", came="refused", challenger="")
    text = " ".join(Tree(render(replace(SAMPLE, retrains=(again, refused)))).text).replace("\u2011", "-")
    assert "After September, what was learned was flight-delay:1 again. After 2013-10, the gate refused what was learned." in text


def test_one_table_without_a_contract_is_not_called_checked() -> None:
    held, loose = Landed("raw.x", 10, 9, 1, (Check("a", 1, quarantined=True),)), Landed("raw.y", 5, 5, 0, contract=False)
    text = " ".join(Tree(render(replace(SAMPLE, landed=(held, loose), read=(held, loose)))).text)
    checked = "10 were checked on arrival (1 that broke a required rule was set aside), 5 were not, for want of a contract."
    assert f"15 records came in for the two tables that its training read from: {checked}" in text
    assert "10 of 15 records checked" in text


def test_a_rollback_counts_as_a_decision_and_ends_the_talk_of_rules() -> None:
    by_hand = Approval(
        "flight-delay:2 to flight-delay:1", "Mara Lindqvist", "not asked", "24 Nov 2026", "rolled back", "too slow"
    )
    text = " ".join(Tree(render(replace(SAMPLE, approvals=(*SAMPLE.approvals, by_hand)))).text)
    assert "Three decisions were taken by people: two approvals and one rollback." in text
    assert "every deployment followed by rule" not in text
    assert "every deployment followed by rule" in " ".join(Tree(render(SAMPLE)).text)
