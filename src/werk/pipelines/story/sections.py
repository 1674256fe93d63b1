"""One function per section of the story; each says "not yet" when it has nothing to show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import floor, log10
from typing import assert_never

from werk.monitoring.verdict import COST, MONITORS
from werk.monitoring.words import euros
from werk.pipelines.story import charts
from werk.pipelines.story.markup import Html, joined, table, tag
from werk.pipelines.story.measures import Measure
from werk.pipelines.story.nouns import (
    Again,
    Approval,
    Checked,
    Followed,
    GateVerdict,
    Kept,
    Landed,
    Month,
    Retrain,
    Rule,
    Said,
    Story,
)
from werk.pipelines.story.numerals import plural, spelled


def not_yet(what: str) -> Html:
    return tag("p", f"Not yet: {what}.", class_="notyet")


def at_a_glance(story: Story) -> Html:
    """The few numbers somebody reads who reads nothing else."""
    scored, humans = sum(month.rows for month in story.months), sum(act.by_human for act in story.approvals)
    eur, of = [cost.eur for cost in story.costs if cost.eur is not None], story.measure
    facts = [
        _arrived(story.landed) if story.landed else None,
        (f"{scored:,}", f"{story.things} judged") if story.months else None,
        (of.value(best.auc), f"{of.name} of {best.model} on its hold-out") if (best := story.champion) else None,
        (str(humans), f"decision{plural(humans)} by people") if story.approvals else None,
        (euros(sum(eur)), "for the computing of all runs") if eur else None,
    ]
    shown = [tag("li", tag("b", number), tag("span", what)) for number, what in filter(None, facts)]
    return tag("ul", *shown, class_="facts") if shown else Html("")


def _arrived(landed: Sequence[Landed]) -> tuple[str, str]:
    came, checked = sum(of.rows_in for of in landed), sum(of.rows_in for of in landed if of.ruled)
    if not checked:
        return f"{came:,}", "records came in"
    return f"{checked:,}", "records checked on arrival" if all(of.ruled for of in landed) else f"of {came:,} records checked"


def loop(story: Story) -> Html:
    return charts.loop(story.loop) if story.loop else not_yet("no pipeline has run")


def landed(story: Story) -> Html:
    if not story.landed:
        return not_yet("no table has landed")
    rows = [[of.table, f"{of.rows_in:,}", f"{of.landed:,}", f"{of.quarantined:,}", _sum(of), _held(of)] for of in story.landed]
    said = "A row landed, or it stands in quarantine with the name of the rule it broke. "
    said += "All are accounted for." if all(of.adds_up for of in story.landed) else "Some rows are not accounted for."
    said += _several(story.landed) + _unchecked(story.landed)
    heads = ("table", "came in", "landed", "quarantined", "adds up", "checked")
    return joined([tag("p", said), table("Rows in, rows landed, rows set aside", heads, rows, (1, 2, 3)), _dirt(story.landed)])


def _dirt(landed: Sequence[Landed]) -> Html:
    """The rules that found something; of the others only how many they are."""
    found = [[of.table, c.rule, f"{c.found:,}", _fate(c.quarantined)] for of in landed for c in of.checks if c.found]
    clean = sum(not check.found for of in landed for check in of.checks)
    if found:
        further = f"; {spelled(clean)} further check{plural(clean)} found nothing" if clean else ""
        return table(f"What the checks found{further}", ("table", "rule", "rows", "what was done"), found, (2,))
    return tag("p", f"{spelled(clean).capitalize()} check{plural(clean)} found nothing." if clean else "No rule was checked.")


def _unchecked(landed: Sequence[Landed]) -> str:
    names = [of.table for of in landed if not of.contract]
    return f" Without a contract landed, and so without any check: {', '.join(names)}." if names else ""


def _held(of: Landed) -> str:
    """What its rows were held to."""
    if of.ruled:
        return "under a contract"
    return tag("span", charts.mark("not checked"), "no rule" if of.contract else "no contract", class_="loose")


def _several(landed: Sequence[Landed]) -> str:
    """Why the rules' rows add up to more than was set aside."""
    broken = [(of.quarantined, sum(check.found for check in of.checks if check.quarantined)) for of in landed]
    more = any(found > aside for aside, found in broken)
    return " One row can break several rules and is then counted at each, but set aside once." if more else ""


def ladder(story: Story) -> Html:
    if not story.ladder:
        return not_yet("no such study was made")
    rows = max(rung.rows for rung in story.ladder)
    same = "the same " if len(story.ladder) > 1 else ""
    on = f", judged on {same}{rows:,} later {story.things}" if rows else ""
    said = f"One kind of model, trained {_times(len(story.ladder))}{on}. "
    said += "No feature holds what was not known at the moment of the prediction."
    return joined([tag("p", said), charts.ladder(story.ladder), tag("p", _no_version(story), class_="small")])


def _times(rungs: int) -> str:
    return "once" if rungs == 1 else f"{spelled(rungs)} times, each time knowing more"


def _no_version(story: Story) -> str:
    """A reader must not take the study's AUC for the model's."""
    one = len(story.ladder) == 1
    said = "This model was not registered and never answered." if one else "None of these models was registered or ever answered."
    if story.champion is None:
        return said
    of = story.champion
    span = f"AUC {of.auc:.3f}, 95 % interval {of.low:.3f} to {of.high:.3f}, on {of.rows:,} {story.things}"
    return f"{said} The version in use, {of.model}, was accepted on rows held out from its own training: {span}."


def gates(story: Story) -> Html:
    if not story.gates:
        return not_yet("no model has come to the gate")
    said = "A model is registered only if its stored report passes every rule. One broken rule is enough to refuse it. "
    said += "What had nothing to compare with is called so."
    return joined([tag("p", said), _ruling(story.gates), *map(_gate, story.gates)])


def _ruling(of: Sequence[GateVerdict]) -> Html:
    """A column per gate, found by its place: one run may have come to the gate twice."""
    names = list(dict.fromkeys(rule.name for gate in of for rule in gate.rules))
    by = [{rule.name: rule for rule in gate.rules} for gate in of]
    rows = [[name, *(_ruled(rules.get(name)) for rules in by)] for name in names]
    decided = ["decision", *(_badge(gate.decision == "registered", "registered", gate.decision) for gate in of)]
    return _matrix("Each rule's answer for each model", "rule", [*map(_model, of)], [*rows, decided], most=5, looks="rules")


def _model(gate: GateVerdict) -> Html:
    known = gate.decision == "registered"
    return joined([gate.model, tag("span", "" if known else gate.decision, class_="by")])


def _matrix(caption: str, corner: str, columns: Sequence[str], rows: Sequence[Sequence[str]], most: int, looks: str = "") -> Html:
    """As many tables below each other as it takes to show every column without scrolling, about as wide as each other.

    A row without an answer for any of a table's columns is left out of it.
    """
    tables = -(-len(columns) // most)
    width = -(-len(columns) // tables)
    starts = range(0, len(columns), width)
    parts = [
        table(
            caption if not start else f"{caption}, continued",
            (corner, *columns[start : start + width]),
            ([row[0], *cells] for row in rows if any(cells := row[1 + start : 1 + start + width])),
        )
        for start in starts
    ]
    return tag("div", *parts, class_=f"matrix {looks}".rstrip())


def months(story: Story) -> Html:
    if not story.months:
        return not_yet("nothing has been predicted")
    said = f"Each {story.window} as it was scored first, and as it was judged first once its outcomes were known. "
    if any(month.again for month in story.months):
        said += "Where it was scored again, that stands apart: it came after the fact and changes nothing of the first."
    said += "".join(map(_trained, (month for month in story.months if month.trained)))
    drawing = charts.months(
        story.months, story.outcome, story.measure, [one for one in story.retrains if one.came == "registered"]
    )
    judged = any(said.monitor != COST for said in story.verdicts)
    told = [_followed_by(one) for one in story.retrains] or (["No retraining was started."] if judged else [])
    return joined([tag("p", said), drawing, _scored(story), *(tag("p", _unbroken(sentence)) for sentence in told)])


def _trained(month: Month) -> str:
    same = f"{month.model} was trained on {month.trained:,} of its {month.rows:,} rows"
    return f" {month.window} is no measure of work to come: {same}."


def _followed_by(one: Retrain) -> str:
    because = f"Because of {one.sentence}, "
    match one.came:
        case "registered":
            return f"{one.challenger} was trained to follow {one.champion} because of {one.sentence}."
        case "known":
            return f"{because}a retraining was started, and what it learned was {one.challenger} again: no version was added."
        case "refused":
            return f"{because}a retraining was started, and the gate refused what it learned ({one.run})."
        case "nothing":
            return f"{because}{one.pipeline} was started ({one.run}); no model of it has come to the gate."
        case _:
            assert_never(one.came)


def _scored(story: Story) -> Html:
    rows = [line for month in story.months for line in _month(month, story.measure)]
    heads = (story.window, story.things, story.counted, "scored by", story.measure.name)
    return table(f"Every {story.window} and who scored it", heads, rows, (1, 2, 4))


def _month(of: Month, measure: Measure) -> Iterator[list[str]]:
    share = "not yet" if of.share is None else measure.share(of.share)
    yield [of.window, f"{of.rows:,}", share, _whole(of.model), _auc(of.auc, measure)]
    for later in of.again:
        known = "the same" if later.known is None else f"{later.known:,} known"
        yield [f"{of.window}, again", known, _share_again(later, measure), _whole(later.model), _auc(later.auc, measure)]


def _share_again(later: Again, measure: Measure) -> str:
    if later.share is not None:
        return measure.share(later.share)
    return "not yet" if later.auc is None else "the same"


def _whole(name: str) -> Html:
    """A name that no line break divides."""
    return tag("span", name, class_="whole")


def _auc(value: float | None, measure: Measure) -> str:
    return "not yet" if value is None else measure.value(value)


def _phrase(said: str) -> Html:
    """Words that keep a width at which they can be read."""
    return tag("span", said, class_="phrase") if said else Html("")


def verdicts(story: Story) -> Html:
    if not story.verdicts:
        return not_yet("no window has been checked")
    columns = list(dict.fromkeys((said.window, said.model, said.again, said.time) for said in story.verdicts))
    known = {said.monitor for said in story.verdicts}
    monitors = [name for name in MONITORS if name in known] + sorted(known - set(MONITORS))
    by = {(said.monitor, said.window, said.model, said.time): said for said in story.verdicts}
    rows = [
        [name, *(_answer(by.get((name, window, model, time)), time) for window, model, _, time in columns)] for name in monitors
    ]
    heads = [_column(*column) for column in columns]
    matrix = _matrix("Each monitor's answer for each window, and the version it is about", "monitor", heads, rows, most=7)
    alarms = [said for said in story.verdicts if said.verdict == "violation"]
    open_ = [said for said in story.verdicts if said.verdict in ("cannot say", "not checked")]
    return joined([matrix, _sentences("violation", alarms), _sentences("open answer", open_)])


def _column(window: str, model: str, again: bool, time: int) -> Html:
    return joined([window, tag("span", _of(model, again, time), class_="by")])


def _of(model: str, again: bool, time: int) -> str:
    """Whose answer it is, and whether it was the first about the window."""
    if time > 1:
        return f"{model}, again" if time == 2 else f"{model}, time {time}"
    return f"{model}, afterwards" if again else model


def kept(story: Story) -> Html:
    if not story.kept:
        return not_yet("no second model has been compared with the first")
    rows = [_compared(of, story.things) for of in story.kept]
    of = story.measure.name
    heads = ("new", "old", "on the same rows", f"{of} new", f"{of} old", "difference", "95 % interval", "result")
    said = "Each pair judged the same rows. A difference whose interval holds zero may be luck."
    return joined(
        [tag("p", said), table(f"{of[:1].upper()}{of[1:]} of a new version and of the one before", heads, rows, (3, 4, 5))]
    )


def prediction(story: Story) -> Html:
    if not story.prediction:
        return not_yet("no prediction has been followed")
    followed = story.prediction
    drawing = charts.chain(followed.chain) if followed.chain else not_yet("its path has not been recorded")
    return joined([tag("p", followed.sentence, " ", tag("code", followed.id)), drawing, _row(followed)])


def _row(of: Followed) -> Html:
    """The source row, column by column."""
    if not of.row:
        return Html("")
    pairs = (tag("div", tag("dt", name), tag("dd", value)) for name, value in of.row)
    return joined([tag("p", f"The row itself, as it landed in {of.row_of}:"), tag("dl", *pairs, class_="row")])


def approvals(story: Story) -> Html:
    if not story.approvals:
        return not_yet("nobody has decided anything")
    humans = sum(act.by_human for act in story.approvals)
    said = f"{_taken(humans, len(story.approvals))} "
    said += "“local-self” means: by a token of one's own, on a machine whose owner could hold both tokens."
    heads = ("what", "decision", "by", "proven by", "when", "comment")
    return joined([tag("p", said), table("Decisions as the journal holds them", heads, map(_approval, story.approvals))])


def _taken(humans: int, all_: int) -> str:
    by_rule = all_ - humans
    if not humans:
        return "None of these decisions was taken by a person; they followed by rule."
    who = "was taken by a person" if humans == 1 else "were taken by people"
    if not by_rule:
        return f"This decision {who}." if humans == 1 else f"All {spelled(humans)} decisions {who}."
    others = "the other followed" if by_rule == 1 else "the others followed"
    return f"{spelled(humans).capitalize()} of these decisions {who}; {others} by rule."


def costs(story: Story) -> Html:
    if not story.costs:
        return not_yet("nothing has been measured")
    priced = [c.eur for c in story.costs if c.eur is not None]
    eur = sum(priced) if len(priced) == len(story.costs) else None
    digits = _digits(max(priced, default=0.0) if eur is None else eur)
    rows = [[c.what, f"{c.cpu_s:,.1f}", f"{c.gb_s:,.1f}", _eur(c.eur, digits)] for c in story.costs]
    total = ["in all", f"{sum(c.cpu_s for c in story.costs):,.1f}", f"{sum(c.gb_s for c in story.costs):,.1f}"]
    sums = [*total, _eur(eur, digits)]
    heads = ("work", "CPU-seconds", "GB-seconds", "EUR")
    return table("Measured use, priced by the project's price file", heads, [*rows, sums], (1, 2, 3))


def proof(story: Story) -> Html:
    if not story.proof:
        return not_yet("the journal has no signed head")
    of = story.proof
    said = "Each fact carries the hash of the one before. Whoever holds this head can tell whether anything up to it was changed."
    head = "signed head" if of.signed else "head, not signed here"
    rows = [(head, tag("code", of.head_hash)), ("fact number", f"{of.seq:,}")]
    rows += [("public key", tag("code", of.public_key)), ("rebuild", of.rebuild or "not yet: no model has been rebuilt")]
    pairs = (part for name, value in rows for part in (tag("dt", name), tag("dd", value)))
    how = tag("p", "Anybody with the project may repeat these; this is what they printed when the page was made:")
    checks = (how, *map(_check, of.checks)) if of.checks else ()
    return tag("div", tag("p", said), tag("dl", *pairs), *checks, class_="proof")


def _check(of: Checked) -> Html:
    what = tag("p", of.what, class_="small what") if of.what else ""
    return tag("div", what, tag("pre", tag("b", f"$ {of.command}"), f"\n{of.printed}"), class_="check")


def _gate(gate: GateVerdict) -> Html:
    """What was measured, in words: the broken rules first."""
    rules = sorted(gate.rules, key=lambda rule: rule.passed)
    items = (tag("li", _ruled(rule), " ", tag("b", f"{rule.name}: " if rule.said else rule.name), rule.said) for rule in rules)
    head = tag("summary", f"{gate.model}, what was measured ({gate.decision}). {gate.note}")
    opened = None if gate.passed else ""
    return tag("details", head, tag("ul", *items, class_="said"), open=opened)


def _ruled(rule: Rule | None) -> Html:
    if rule is None:
        return Html("")
    if rule.passed and not rule.checked:
        return tag("span", charts.mark("not checked"), "nothing to compare", class_="loose")
    return _badge(rule.passed, "passed", "broken")


def _compared(of: Kept, things: str) -> list[str]:
    by = of.measure
    aucs = (by.value(of.new_auc), by.value(of.old_auc), by.gap(of.new_auc - of.old_auc))
    return [
        of.new,
        _whole(of.old),
        _phrase(f"{of.rows:,} {things}, {of.on}"),
        *aucs,
        f"{by.gap(of.low)}\u00a0to\u00a0{by.gap(of.high)}",
        {1: "better", -1: "worse"}.get(of.sign, "no clear difference"),
    ]


def _approval(act: Approval) -> list[str]:
    who = act.who if act.by_human else f"{act.who} (by rule)"
    return [act.subject, act.said, *map(_whole, (who, act.assurance, act.at)), _phrase(act.comment)]


def _answer(said: Said | None, time: int) -> Html:
    """A monitor that has nothing new to say about a window when it is checked again leaves its word as it stands."""
    if said is None and time > 1:
        return tag("span", "as before", class_="soft")
    verdict = said.verdict if said else "not checked"
    return joined([charts.mark(verdict), verdict])


def _sentences(what: str, said: Sequence[Said]) -> Html:
    if not said:
        return Html("")
    items = (
        tag(
            "li",
            tag("b", f"{one.monitor}{f' ({_of(one.model, one.again, one.time)})' if one.model else ''}: "),
            _unbroken(one.sentence),
        )
        for one in said
    )
    named = f"{len(said)} {what}{'' if len(said) == 1 else 's'} in words"
    return tag("details", tag("summary", named), tag("ul", *items, class_="said"), open="")


def _unbroken(said: str) -> str:
    """No line ends between a number and its percent sign."""
    return said.replace(" %", "\u00a0%")


def _badge(good: bool, yes: str, no: str) -> Html:
    said, looks = (yes, "good") if good else (no, "bad")
    return tag("span", charts.mark("ok" if good else "violation"), said, class_=f"badge {looks}")


def _sum(of: Landed) -> Html:
    return _badge(of.adds_up, "yes", f"no: {of.rows_in - of.landed - of.quarantined:+,} rows")


def _fate(quarantined: bool) -> str:
    return "set aside" if quarantined else "kept and reported"


def _digits(eur: float) -> int:
    """Behind the point, alike in the whole column: cents, or what an amount below one needs for three figures."""
    return 2 if not eur or eur >= 1 else 2 - floor(log10(eur))


def _eur(eur: float | None, digits: int) -> str:
    if eur is None:
        return "no price"
    least = 10.0**-digits
    return f"below {least:.{digits}f}" if 0 < eur < least / 2 else f"{eur:,.{digits}f}"
