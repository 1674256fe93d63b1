"""The story's drawings: plain SVG whose colours are the page's, so that light, dark and paper all read well."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from werk.core.nouns import Verdict
from werk.pipelines.story.markup import Html, tag
from werk.pipelines.story.measures import Measure
from werk.pipelines.story.nouns import Link, Month, Retrain, Rung, Stage

WIDTH = 880
SHAPES: dict[Verdict, Html] = {
    "ok": tag("circle", cx="9", cy="9", r="6"),
    "violation": tag("path", d="M9 1.5 L17 16 H1 Z"),
    "cannot say": tag("circle", cx="9", cy="9", r="5.5", stroke_width="2"),
    "not checked": tag("path", d="M3 9 H15", stroke_width="2.5"),
}


def svg(label: str, height: float, *children: str, width: float = WIDTH) -> Html:
    inside = (tag("title", label), *children)
    drawn = tag("svg", *inside, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label, class_="drawing")
    return tag("div", drawn, class_="wide", tabindex="0", role="region", aria_label=label)


def words(x: float, y: float, said: str, class_: str = "", anchor: str = "middle") -> Html:
    return tag("text", said, x=f"{x:g}", y=f"{y:g}", class_=class_ or None, text_anchor=anchor)


def loop(stages: Sequence[Stage]) -> Html:
    """The stages in a row and the way back from the last to the first."""
    step = WIDTH / len(stages)
    parts = [_stage(stage, at * step + 5, step - 16, last=at == len(stages) - 1) for at, stage in enumerate(stages)]
    end, start = WIDTH - step / 2, step / 2
    back = tag("path", d=f"M{end:g} 96 V118 H{start:g} V100", class_="back", marker_end="url(#tip)")
    said = words(WIDTH / 2, 134, "what the monitors find starts the loop again", "small")
    label = "The loop: " + ", then ".join(f"{s.name} ({s.said or s.state})" for s in stages)
    return svg(label, 142, _tip(), *parts, back, said)


def _stage(stage: Stage, x: float, width: float, last: bool) -> Html:
    state = stage.state.replace(" ", "-")
    middle = x + width / 2
    box = tag("rect", x=f"{x:g}", y="18", width=f"{width:g}", height="76", rx="8", class_=f"box {state}")
    said = stage.said or ("not yet" if stage.state == "not yet" else "")
    lines = [words(middle, 52 - 12 * (said != ""), stage.name, "name"), *_lines(middle, 57, said, width)]
    arrow = tag("path", d=f"M{x + width:g} 56 h8", class_="arrow", marker_end="url(#tip)")
    return tag("g", box, *lines, *(() if last else (arrow,)))


def _lines(x: float, y: float, said: str, width: float) -> list[Html]:
    return [words(x, y + 13 * at, line, "small") for at, line in enumerate(folded(said, int(width / 6))[:3])]


def folded(said: str, most: int) -> list[str]:
    """Lines of at most `most` characters, broken between words; a longer word is cut."""
    lines: list[str] = []
    for word in said.split():
        if lines and len(lines[-1]) + 1 + len(word) <= most:
            lines[-1] += f" {word}"
        else:
            lines.append(word if len(word) <= most else f"{word[: most - 1]}…")
    return lines


def ladder(rungs: Sequence[Rung]) -> Html:
    """A bar per rung, from 0.5, which is guessing; what each adds to the one before."""
    x0, full = 330, 430
    parts: list[Html] = []
    for at, rung in enumerate(rungs):
        y, long = 14 + at * 38, max(0.0, min(1.0, (rung.auc - 0.5) / 0.5)) * full
        more = f" ({rung.auc - rungs[at - 1].auc:+.3f})" if at else ""
        parts += [words(x0 - 12, y + 18, rung.knows, anchor="end")]
        parts += [tag("rect", x=x0, y=y, width=f"{long:.1f}", height="26", rx="3", class_="bar")]
        parts += [words(x0 + long + 8, y + 18, f"{rung.auc:.3f}{more}", "value", "start")]
    bottom = 14 + len(rungs) * 38
    parts += [tag("line", x1=x0, x2=x0, y1="6", y2=bottom, class_="axis"), words(x0, bottom + 16, "0.5 = guessing", "small")]
    parts += [words(x0 + full, bottom + 16, "1.0 = always right", "small", "end")]
    return svg("AUC by what a model may know: " + "; ".join(f"{r.knows} {r.auc:.3f}" for r in rungs), bottom + 24, *parts)


def months(of: Sequence[Month], outcome: str, measure: Measure, retrains: Sequence[Retrain]) -> Html:
    """Above, the share of outcomes per window; below, the AUC as first scored, with later scores apart.

    A retraining stands between windows.
    """
    step = (WIDTH - 150) / len(of)
    centre = [60 + step * (at + 0.5) for at in range(len(of))]
    parts = [*_shares(of, centre, step, measure), *_aucs(of, centre, measure)]
    parts += [words(x, 356, month.window) for x, month in zip(centre, of, strict=True)]
    parts += [words(x, 372, _by(month), "small") for x, month in zip(centre, of, strict=True)]
    parts += [part for retrain in retrains for part in _retrained(of, centre, step, retrain)]
    counted = measure.outcomes.format(outcome=outcome)
    heads = (words(4, 16, counted, "head", "start"), words(4, 190, f"{measure.name}, close-up", "head", "start"))
    return svg(_spoken(of, counted, measure, retrains), 382, *heads, *_legend(of, 7 * (len(measure.name) - 3)), *parts)


def _by(month: Month) -> str:
    return f"by {month.model}" if month.model else ""


def _legend(of: Sequence[Month], right: int) -> list[Html]:
    """Beside the head, which may be longer than AUC is, so that no name lies on a line."""
    first = any(month.auc is not None for month in of)
    again = any(later.auc is not None for month in of for later in month.again)
    names = [("champion", "judged first, in production", 120 + right)] * first + [
        ("again", "again, after the fact", 345 + right)
    ] * again
    return [
        part for class_, name, x in names for part in (_dot(x, 186, class_), words(x + 12, 190, name, f"key {class_}", "start"))
    ]


def _shares(of: Sequence[Month], centre: Sequence[float], step: float, measure: Measure) -> list[Html]:
    top = max((abs(month.share or 0.0) for month in of), default=0.0) or 1.0
    parts = [tag("line", x1="60", x2=WIDTH - 90, y1="160", y2="160", class_="axis")]
    for x, month in zip(centre, of, strict=True):
        if month.share is None:
            parts.append(words(x, 152, "not yet", "small"))
            continue
        high = 112 * max(month.share, 0.0) / top
        wide = min(step * 0.56, 96)
        box = {"x": f"{x - wide / 2:.1f}", "y": f"{160 - high:.1f}", "width": f"{wide:.1f}", "height": f"{high:.1f}"}
        parts += [tag("rect", **box, class_="share"), words(x, 153 - high, measure.share(month.share), "value")]
    return parts


def _aucs(of: Sequence[Month], centre: Sequence[float], measure: Measure) -> list[Html]:
    known = [value for month in of for value in (month.auc, *(later.auc for later in month.again)) if value is not None]
    if not known:
        return [words(WIDTH / 2, 260, "not yet: no outcome is known", "small")]
    room = (max(known) - min(known) or abs(max(known)) or 1.0) * 0.1 if measure.less_is_better else 0.01
    low, high = min(known) - room, max(known) + room

    def y(value: float) -> float:
        return 318 - 96 * (value - low) / (high - low)

    parts = [tag("line", x1="60", x2=WIDTH - 90, y1="334", y2="334", class_="axis"), *_lines_of(of, centre, y)]
    for x, month in zip(centre, of, strict=True):
        parts += [*_first(x, month, y, measure), *_again(x, month, y, measure)]
    return parts


def _lines_of(of: Sequence[Month], centre: Sequence[float], y: Callable[[float], float]) -> list[Html]:
    """A line per version: where another takes over, it is broken."""
    points: dict[str, list[str]] = {}
    for x, month in zip(centre, of, strict=True):
        if month.auc is not None:
            points.setdefault(month.model, []).append(f"{x:.1f},{y(month.auc):.1f}")
    return [tag("polyline", points=" ".join(path), class_="line champion") for path in points.values()]


def _first(x: float, month: Month, y: Callable[[float], float], measure: Measure) -> list[Html]:
    if month.auc is None:
        return []
    return [_dot(x, y(month.auc), "champion"), words(x, y(month.auc) - 10, measure.value(month.auc), "value")]


def _again(x: float, month: Month, y: Callable[[float], float], measure: Measure) -> list[Html]:
    """Right of the first score, as it came later; its value below."""
    parts: list[Html] = []
    for at, later in enumerate(month.again, 1):
        if later.auc is not None:
            right, high = x + 22 * at, y(later.auc)
            said = f"v{later.model.rpartition(':')[2]}: {measure.value(later.auc)}"
            parts += [_dot(right, high, "again"), words(right, high + 6 + 16 * at, said, "value again")]
    return parts


def _dot(x: float, y: float, class_: str) -> Html:
    """A circle for the first score, a square for a later one: colour alone would not do."""
    if class_ == "again":
        return tag("rect", x=f"{x - 4.5:.1f}", y=f"{y - 4.5:.1f}", width="9", height="9", class_=f"dot {class_}")
    return tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="4.5", class_=f"dot {class_}")


def _retrained(of: Sequence[Month], centre: Sequence[float], step: float, retrain: Retrain) -> list[Html]:
    at = next((i for i, month in enumerate(of) if month.window == retrain.window), None)
    if at is None:
        return []
    x = centre[at] + step / 2
    parts = ((22, 172), (202, 340))  # the legend lies between
    lines = [tag("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=top, y2=end, class_="retrain") for top, end in parts]
    return [*lines, words(x, 14, f"{retrain.challenger} trained", "retrained")]


def _spoken(of: Sequence[Month], counted: str, measure: Measure, retrains: Sequence[Retrain]) -> str:
    shares = ", ".join(f"{m.window} {measure.share(m.share)}" for m in of if m.share is not None)
    aucs = ", ".join(f"{m.window} {measure.value(m.auc)}{f' by {m.model}' if m.model else ''}" for m in of if m.auc is not None)
    later = ", ".join(f"{m.window} with {a.model} {measure.value(a.auc)}" for m in of for a in m.again if a.auc is not None)
    new = f" Scored again: {later}." if later else ""
    then = f" Retrained after {' and '.join(one.window for one in retrains)}." if retrains else ""
    said = f"{counted[:1].upper()}{counted[1:]} by window: {shares or 'not yet'}."
    return f"{said} {measure.name[:1].upper()}{measure.name[1:]} as first scored: {aucs or 'not yet'}.{new}{then}"


def chain(links: Sequence[Link]) -> Html:
    """From the prediction down to the row it came from, one station below the other."""
    parts: list[Html] = []
    for at, link in enumerate(links):
        y = 8 + at * 54
        parts += [tag("circle", cx="16", cy=y + 14, r="6", class_="station")]
        if at + 1 < len(links):
            parts += [tag("line", x1="16", x2="16", y1=y + 22, y2=y + 60, class_="rail")]
        parts += [words(36, y + 12, link.kind, "small", "start"), words(36, y + 29, _short(link.name, 46), "name", "start")]
        parts += [words(440, y + 29, _short(link.detail), "mono", "start")]
    label = "One prediction followed to its source: " + ", from ".join(f"{link.kind} {link.name}" for link in links)
    return svg(label, 8 + len(links) * 54, *parts)


def mark(verdict: Verdict) -> Html:
    """A shape per verdict, told apart without colour; the word stands beside it."""
    return tag("svg", SHAPES[verdict], viewBox="0 0 18 18", class_=f"mark {verdict.replace(' ', '-')}", aria_hidden="true")


def _tip() -> Html:
    inner = tag("path", d="M0 0 L8 4 L0 8 Z", class_="tip")
    size = {"viewBox": "0 0 8 8", "refX": "7", "refY": "4", "markerWidth": "7", "markerHeight": "7"}
    return tag("defs", tag("marker", inner, id="tip", orient="auto", **size))


def _short(said: str, most: int = 64) -> str:
    return said if len(said) <= most else f"{said[: most - 1]}…"
