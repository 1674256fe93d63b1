"""The first paragraph, for the engineer of the plant: what the model does, what happened to it, and whether to trust it."""

from __future__ import annotations

from werk.pipelines.story.nouns import Month, Story


def opening(story: Story) -> list[str]:
    """One or two paragraphs: how the model came to work, and what has happened since."""
    if story.summary:
        return [story.summary]
    goal = f"This is a model that can {story.goal}." if story.goal else ""
    made = (goal, _read(story), _gated(story))
    since = (_months(story), _right(story), _retrained(story))
    if not any((*made, *since)):
        return ["Nothing has happened yet."]
    told = [" ".join(filter(None, sentences)) for sentences in (made, (*since, _trust(story)))]
    return list(filter(None, told))


def _read(story: Story) -> str:
    if not story.landed:
        return ""
    rows, aside = sum(of.rows_in for of in story.landed), sum(of.quarantined for of in story.landed)
    kept = f"{aside:,} that broke a rule were set aside" if aside else "none had to be set aside"
    lost = "" if all(of.adds_up for of in story.landed) else " Not all of them are accounted for."
    return f"It was made from {rows:,} records, each checked on arrival: {kept}.{lost}"


def _gated(story: Story) -> str:
    refused = sum(not gate.passed for gate in story.gates)
    people = {act.who for act in story.approvals if act.by_human and act.said == "approved"}
    acts = len([act for act in story.approvals if act.by_human])
    first = f"{_number(refused).capitalize()} poor model{_s(refused)} had been refused before. " if refused else ""
    if not people:
        return first + ("Nobody has approved it yet." if story.gates else "")
    if acts == 1:
        return f"{first}A person approved it; no other human decision was needed."
    return f"{first}{_number(acts).capitalize()} human decisions were needed in all; everything else happened by rule."


def _months(story: Story) -> str:
    known = [month for month in story.months if month.share is not None]
    if len(known) < 2:
        return ""
    most, least = max(known, key=_share), min(known, key=_share)
    scored = sum(month.rows for month in story.months)
    swing = f"from {_percent(least)} in {_whole(least.window)} to {_percent(most)} in {_whole(most.window)}"
    return f"It has since judged {scored:,} {story.things}, in months that differ widely: {swing} were {story.outcome}."


def _right(story: Story) -> str:
    """What AUC means, in cases of a hundred."""
    found = [value for month in story.months for value in (month.auc, month.challenger_auc) if value is not None]
    if not found:
        return ""
    least, most = (round(100 * value) for value in (min(found), max(found)))
    cases = f"{least}" if least == most else f"{least} to {most}"
    things = f"two {story.things}, one {story.outcome} and one not"
    return f"Of {things}, it gave the {story.outcome} one the higher risk in {cases} of 100 cases (guessing: 50)."


def _retrained(story: Story) -> str:
    if not story.retrains:
        return ""
    first, *more = story.retrains
    again = f", and again in {' and '.join(_whole(one.window) for one in more)}" if more else ""
    start = f"In {_whole(first.window)} the monitors saw that the world had moved, and started a retraining by themselves{again}"
    return f"{start}.{_better(story)}"


def _better(story: Story) -> str:
    if not story.kept:
        return ""
    better = sum(of.low > 0 for of in story.kept)
    if better == len(story.kept):
        return " What was retrained proved better than what it replaced, and not by luck."
    return f" What was retrained proved clearly better in {_number(better)} of {_number(len(story.kept))} later comparisons."


def _trust(story: Story) -> str:
    return "Every number on this page can be checked; the last section says how." if story.proof else ""


def _share(month: Month) -> float:
    return month.share or 0.0


def _whole(window: str) -> str:
    """A window's name that no line break divides."""
    return window.replace("-", "\u2011")


def _percent(month: Month) -> str:
    return f"{_share(month) * 100:.1f}\u00a0%"


def _number(count: int) -> str:
    return ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")[count] if count < 10 else str(count)


def _s(count: int) -> str:
    return "" if count == 1 else "s"
