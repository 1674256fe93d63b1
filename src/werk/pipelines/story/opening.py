"""The first paragraph, for the engineer of the plant: what the model does, what happened to it, and whether to trust it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from werk.monitoring.words import is_name
from werk.pipelines.story.measures import AUC
from werk.pipelines.story.nouns import Approval, Landed, Month, Retrain, Story
from werk.pipelines.story.numerals import plural, spelled

_DEPLOYED = {"deployed", "deployed by hand", "rolled back"}
_ACTS = {
    "approved": ("approval", "approvals"),
    "rejected": ("rejection", "rejections"),
    "retired": ("retirement", "retirements"),
    "deployed by hand": ("deployment by hand", "deployments by hand"),
    "rolled back": ("rollback", "rollbacks"),
}


def opening(story: Story) -> list[str]:
    """One or two paragraphs: how the model came to work, and what has happened since."""
    if story.summary:
        return [story.summary]
    goal = f"This is a model made to {story.goal}." if story.goal else ""
    made = (goal, _read(story), _gated(story))
    since = (_months(story), _right(story), _retrained(story))
    if not any((*made, *since)):
        return ["Nothing has happened yet."]
    told = [" ".join(filter(None, sentences)) for sentences in (made, (*since, _trust(story)))]
    return list(filter(None, told))


def _read(story: Story) -> str:
    """Of the tables that the training has read; all that landed while no version is in use."""
    of = story.read or story.landed
    if not of:
        return ""
    lost = "" if all(one.adds_up for one in of) else " Not all of them are accounted for."
    tables = "the table" if len(of) == 1 else f"the {spelled(len(of))} tables"
    where = f" for {tables} that its training read from" if story.read else ""
    return f"{_records(of):,} records came in{where}{_kept(of)}.{lost}"


def _kept(of: Sequence[Landed]) -> str:
    aside, loose = sum(one.quarantined for one in of), [one for one in of if not one.ruled]
    broke = f"{aside:,} that broke a required rule {'was' if aside == 1 else 'were'} set aside"
    found = broke if aside else "none had to be set aside"
    if len(loose) < len(of):
        held = _records([one for one in of if one.ruled])
        if not loose:
            return f", each checked on arrival: {found}"
        return f": {held:,} were checked on arrival ({found}), {_records(loose):,} were not, for want of {_wanting(loose)}"
    if any(one.contract for one in of):
        return "; no rule was set for them to keep"
    return "; there was no contract to check them against"


def _wanting(loose: Sequence[Landed]) -> str:
    return "a rule" if any(one.contract for one in loose) else "a contract"


def _records(of: Sequence[Landed]) -> int:
    return sum(one.rows_in for one in of)


def _gated(story: Story) -> str:
    refused = sum(not gate.passed for gate in story.gates)
    people = {act.who for act in story.approvals if act.by_human and act.said == "approved"}
    acts = [act.said for act in story.approvals if act.by_human]
    first = f"The gate refused what {spelled(refused)} run{plural(refused)} had learned. " if refused else ""
    if not people:
        return first + ("Nobody has approved it yet." if story.gates else "")
    if len(acts) == 1:
        return f"{first}A person approved it; no other human decision was needed."
    taken = f"{spelled(len(acts)).capitalize()} decisions were taken by people: {_listed(acts)}"
    return f"{first}{taken}{_by_rule(story.approvals)}."


def _listed(acts: Sequence[str]) -> str:
    *most, last = [f"{spelled(count)} {_act(said, count)}" for said, count in Counter(acts).items()]
    return f"{', '.join(most)} and {last}" if most else last


def _act(said: str, count: int) -> str:
    return _ACTS.get(said, (said, said))[count != 1]


def _by_rule(acts: Sequence[Approval]) -> str:
    """Said only when there were deployments and no person's hand in any of them."""
    by_hand = [act.by_human for act in acts if act.said in _DEPLOYED]
    return "; every deployment followed by rule" if by_hand and not any(by_hand) else ""


def _months(story: Story) -> str:
    known = [month for month in story.months if month.share is not None]
    if len(known) < 2:
        return ""
    most, least = max(known, key=_share), min(known, key=_share)
    scored = sum(month.rows for month in story.months)
    how = f"in {story.window}s{' that differ widely' if _share(most) > 1.5 * _share(least) else ''}"
    swing = _swing(story, least, most)
    return f"It has since judged {scored:,} {story.things}, {how}: {swing}."


def _swing(story: Story, least: Month, most: Month) -> str:
    """An outcome that goes by its column's name is no word for the rows."""
    ends = [f"{_share_told(story, month)} in {_whole(month.window)}" for month in (least, most)]
    span = f"from {ends[0]} to {ends[1]}"
    if story.measure.less_is_better:
        return f"on average {story.outcome} was {span}"
    if story.measure is not AUC:
        return f"the class that was the commonest at acceptance made up {span}"
    if is_name(story.things, story.outcome):
        return f"{story.outcome} was true in {span}"
    return f"{span} were {story.outcome}"


def _share_told(story: Story, month: Month) -> str:
    return story.measure.share(_share(month)).replace(" %", "\u00a0%")


def _right(story: Story) -> str:
    """What AUC means, in cases of a hundred; on rows that a version was trained on it means nothing."""
    found = [month.auc for month in story.months if month.auc is not None and not month.trained]
    if not found:
        return ""
    if story.measure is not AUC:
        return _near(story, min(found), max(found))
    least, most = (round(100 * value) for value in (min(found), max(found)))
    cases = f"{least}" if least == most else f"{least} to {most}"
    things, it = f"two {story.things}, one {story.outcome} and one not", f"the {story.outcome} one"
    if is_name(story.things, story.outcome):
        things, it = f"two rows, one in which {story.outcome} was true and one in which it was not", "the former"
    when = "" if least == most else f", depending on the {story.window}"
    return f"Of {things}, it gave {it} the higher risk in {cases} of 100 cases{when} (guessing: 50)."


def _near(story: Story, least: float, most: float) -> str:
    low, high = (story.measure.value(end).replace(" %", "\u00a0%") for end in (least, most))
    span = low if low == high else f"{low} to {high}"
    when = "" if low == high else f", depending on the {story.window}"
    if story.measure.less_is_better:
        return f"Its answers were {span} off on average{when}."
    return f"It was right in {span} of the {story.things}{when}."


def _retrained(story: Story) -> str:
    started = [one for one in story.retrains if one.came != "nothing"]
    if not started:
        return ""
    windows = list(dict.fromkeys(_whole(one.window) for one in started))
    often = _often(len(started), len(windows))
    start = f"What the monitors found in {' and in '.join(windows)} started a retraining by itself{often}."
    return " ".join([start, *dict.fromkeys(_outcome(story, one) for one in started)])


def _often(started: int, windows: int) -> str:
    if started == windows:
        return " each time" if windows > 1 else ""
    return f", {spelled(started)} times"


def _outcome(story: Story, one: Retrain) -> str:
    """How the retrained version did against the one it followed, on the latest rows that both were tried on."""
    if one.came == "refused":
        return f"After {_whole(one.window)}, the gate refused what was learned."
    if one.came == "known":
        return f"After {_whole(one.window)}, what was learned was {one.challenger} again."
    pairs = [of for of in story.kept if (of.new, of.old) == (one.challenger, one.champion)]
    if not pairs:
        return f"{one.challenger} has not been compared with {one.champion}."
    of = max(pairs, key=lambda pair: pair.later)
    told = f"{one.challenger} {of.outcome} {one.champion}"
    rows = f"{of.rows:,} {story.things}"
    if of.later:
        return f"{told} on the {rows} of {_whole(of.on)}."
    return f"{told} on {rows} that neither was trained on; the two have not been compared on later ones."


def _trust(story: Story) -> str:
    return "The last section says how anybody can check this page against the record." if story.proof else ""


def _share(month: Month) -> float:
    return month.share or 0.0


def _whole(window: str) -> str:
    """A window's name that no line break divides."""
    return window.replace("-", "\u2011")
