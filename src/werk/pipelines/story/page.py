"""The story as one self-contained page, to be read, printed and sent on."""

from __future__ import annotations

from werk.pipelines.story import charts, sections
from werk.pipelines.story.markup import Html, tag
from werk.pipelines.story.nouns import Story
from werk.pipelines.story.opening import opening
from werk.pipelines.story.style import CSS

SECTIONS = (
    ("What happened", sections.loop),
    ("The data that landed", sections.landed),
    ("What features of their time are worth: a study", sections.ladder),
    ("The gate", sections.gates),
    ("The {window}s that followed", sections.months),
    ("What the monitors said", sections.verdicts),
    ("What each new version brought", sections.kept),
    ("One prediction, followed to its source", sections.prediction),
    ("Who decided", sections.approvals),
    ("What it cost", sections.costs),
    ("How to check all this", sections.proof),
)


def render(story: Story) -> str:
    """A whole HTML document without script or outside resource; every part of the story may be missing."""
    title = f"{story.project}: the story"
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(CSS)),
    )
    parts = (_section(number, name.format(window=story.window), part(story)) for number, (name, part) in enumerate(SECTIONS, 1))
    body = tag("body", _header(story), tag("main", *parts), _footer(story))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _header(story: Story) -> Html:
    made = tag("p", f"As recorded on {story.made_at}", class_="soft") if story.made_at else ""
    told = [tag("p", paragraph, class_="lead") for paragraph in opening(story)]
    return tag("header", tag("h1", story.project), made, *told, sections.at_a_glance(story))


def _section(number: int, name: str, inside: Html) -> Html:
    return tag("section", tag("h2", name, id=f"s{number}"), inside, aria_labelledby=f"s{number}")


def _footer(story: Story) -> Html:
    shapes = (tag("span", charts.mark(verdict), f"{verdict}  ") for verdict in charts.SHAPES)
    return tag("footer", tag("p", *shapes), tag("p", "Written by werk from the facts in its journal; it loads nothing."))
