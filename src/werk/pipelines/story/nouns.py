"""What the story tells, as plain data: every part may be missing and then reads "not yet"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from werk.core.nouns import Verdict
from werk.pipelines.story.measures import AUC, Measure

_MONTH = re.compile(r"\d{4}-\d{2}")


@dataclass(frozen=True, slots=True)
class Stage:
    """One box of the loop: its name and the one thing worth saying about it ("334,264 rows")."""

    name: str
    said: str = ""
    state: Literal["done", "refused", "not yet"] = "done"


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of a contract and how many rows it found; `quarantined` rows were set aside, others are only reported."""

    rule: str
    found: int
    quarantined: bool = False


@dataclass(frozen=True, slots=True)
class Landed:
    """`contract` is False where it landed without one: nothing of it was checked then."""

    table: str
    rows_in: int
    landed: int
    quarantined: int
    checks: tuple[Check, ...] = ()
    contract: bool = True

    @property
    def adds_up(self) -> bool:
        return self.rows_in == self.landed + self.quarantined

    @property
    def ruled(self) -> bool:
        """Whether there was a rule for its rows to keep."""
        return self.contract and bool(self.checks or self.quarantined)


@dataclass(frozen=True, slots=True)
class Rung:
    """What a model of the study may know, and the AUC that gives on `rows` later rows."""

    knows: str
    auc: float
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Champion:
    """The version in use and its AUC on the `rows` held out from its training, with the interval."""

    model: str
    auc: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True, slots=True)
class Rule:
    """`checked` is False where there was nothing to check."""

    name: str
    passed: bool
    said: str = ""
    checked: bool = True


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """`model` is the version it became, or the run that came to none; rules of one name are told side by side.

    `registered` is False where no version came of it, although it may have `passed`.
    """

    model: str
    passed: bool
    rules: tuple[Rule, ...] = ()
    note: str = ""
    registered: bool = True

    @property
    def decision(self) -> str:
        if not self.passed:
            return "refused"
        return "registered" if self.registered else "not registered"


@dataclass(frozen=True, slots=True)
class Again:
    """A window that was scored once more, after the fact; `share` and `known` outcomes where they differ from the first time."""

    model: str
    auc: float | None = None
    share: float | None = None
    known: int | None = None


@dataclass(frozen=True, slots=True)
class Month:
    """One window as the version `model` scored it first: the share of outcomes (0 to 1) and its AUC.

    Whoever scored it `again` stands apart: those predictions came when the window was over. `trained` of the rows were among
    those that the version was trained on.
    """

    window: str
    rows: int
    share: float | None = None
    auc: float | None = None
    model: str = ""
    again: tuple[Again, ...] = ()
    trained: int = 0


@dataclass(frozen=True, slots=True)
class Retrain:
    """`window` is the one whose violation started the `run`; the `challenger` is the version that it came to.

    "known" when that version stood already, "refused" when the gate let none pass, "nothing" when no model came to the gate.
    """

    window: str
    sentence: str
    champion: str
    challenger: str = ""
    came: Literal["registered", "known", "refused", "nothing"] = "registered"
    run: str = ""
    pipeline: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """One monitor's answer about one window of one version; `again` when that version was not the first to score it.

    `time` is 1 when the version was checked on the window for the first time.
    """

    monitor: str
    window: str
    verdict: Verdict
    sentence: str
    model: str = ""
    again: bool = False
    time: int = 1


@dataclass(frozen=True, slots=True)
class Kept:
    """Two versions on the same rows: AUC (or the `measure`) of both and the interval of the difference, new minus old.

    `later` when the rows came after both trainings; else they are those held out from the new one's, new to both.
    """

    new: str
    old: str
    on: str
    rows: int
    new_auc: float
    old_auc: float
    low: float
    high: float
    later: bool = True
    measure: Measure = AUC

    @property
    def sign(self) -> int:
        """1 when the new one did clearly better, -1 when clearly worse, against chance."""
        found = (self.low > 0) - (self.high < 0)
        return -found if self.measure.less_is_better else found

    @property
    def outcome(self) -> str:
        """How the new one did, against chance."""
        return {1: "did better than", -1: "did worse than"}.get(self.sign, "did neither clearly better nor worse than")


@dataclass(frozen=True, slots=True)
class Link:
    """One station between a prediction and its source row."""

    kind: str
    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Followed:
    """`row` is the source row itself, column and value, as it landed in `row_of`."""

    id: str
    sentence: str
    chain: tuple[Link, ...] = ()
    row: tuple[tuple[str, str], ...] = ()
    row_of: str = ""


@dataclass(frozen=True, slots=True)
class Approval:
    """`said` is the decision as the journal holds it: approved, rejected, rolled back; `by_human` acts are counted."""

    subject: str
    who: str
    assurance: str
    at: str
    said: str = "approved"
    comment: str = ""
    by_human: bool = True


@dataclass(frozen=True, slots=True)
class Cost:
    what: str
    cpu_s: float
    gb_s: float
    eur: float | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """A command that anybody may repeat, and what it printed when the page was made."""

    command: str
    printed: str
    what: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """The head, the public key that `signed` it and what checks both; `rebuild` is the verdict, if one was made."""

    head_hash: str
    seq: int
    public_key: str
    checks: tuple[Checked, ...] = ()
    rebuild: str = ""
    signed: bool = True


@dataclass(frozen=True, slots=True)
class Story:
    """`goal` ends the sentence "A model that can ..."; `outcome` and `things` are its words: "late", "flights".

    `summary` replaces the first paragraph that is otherwise told from the data. `read` are the landed tables that the training
    of the version in use has read, as they were then.
    """

    project: str
    goal: str = ""
    made_at: str = ""
    summary: str = ""
    outcome: str = "positive"
    things: str = "rows"
    loop: tuple[Stage, ...] = ()
    landed: tuple[Landed, ...] = ()
    read: tuple[Landed, ...] = ()
    champion: Champion | None = None
    ladder: tuple[Rung, ...] = ()
    gates: tuple[GateVerdict, ...] = ()
    months: tuple[Month, ...] = ()
    retrains: tuple[Retrain, ...] = ()
    verdicts: tuple[Said, ...] = ()
    kept: tuple[Kept, ...] = ()
    prediction: Followed | None = None
    approvals: tuple[Approval, ...] = ()
    costs: tuple[Cost, ...] = ()
    proof: Proof | None = None
    measure: Measure = AUC

    @property
    def counted(self) -> str:
        """What a column of the windows' outcomes is called."""
        if self.measure is AUC:
            return f"{self.outcome}, of those known"
        return f"{self.measure.outcomes.format(outcome=self.outcome)}, of those known"

    @property
    def window(self) -> str:
        """What a window is called: a month where each is named like 2013-07."""
        named = [month.window for month in self.months]
        return "month" if named and all(map(_MONTH.fullmatch, named)) else "window"
