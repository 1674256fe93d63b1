"""The proposal as files: constants of the pipelines, contract, plan; `# check this` stands at each guess."""

from __future__ import annotations

import getpass
import json
import re
from pathlib import Path

import yaml

from werk.app.own.columns import Columns, on_a_line
from werk.app.own.expected import as_behaviour, as_gate
from werk.governance import UNCHECKED

_ASKED = {"binary": "1 or 0", "regression": "a number", "multiclass": "one of several"}
CODE = re.compile(r"^TABLE = .*?^CATEGORIES = .*?$", re.MULTILINE | re.DOTALL)
_PERSONAL = re.compile(
    r"(?:^|[^a-z])(?:sex|gender|race|rac1p|ethnicity|religion|nationality|nativity|age|agep|birth\w*|dob|marital|mar|disability|dis"
    r"|geschlecht|alter|first_?name|last_?name|surname|email|phone)(?:$|[^a-z])"
)


def write(folder: Path, columns: Columns) -> None:
    """Over the template's own files, in a folder that nobody sees yet."""
    contract = folder / "contracts" / f"{columns.table}.yaml"
    contract.parent.mkdir()
    contract.write_text(as_contract(columns), encoding="utf-8")
    pipelines, code = folder / "pipelines.py", as_code(columns)
    pipelines.write_text(CODE.sub(lambda _: code, pipelines.read_text(encoding="utf-8")), encoding="utf-8")
    (folder / "plan.toml").write_text(as_plan(columns), encoding="utf-8")
    gate = folder / "gate.toml"
    gate.write_text(as_gate(gate.read_text(encoding="utf-8"), columns.outcome), encoding="utf-8")
    if columns.trends:
        (folder / "behaviour.toml").write_text(as_behaviour(list(columns.trends), columns.target), encoding="utf-8")


def as_code(columns: Columns) -> str:
    """The constants at the top of the template's pipelines."""
    made = "made when a row lands, of what it says" if columns.made_key else "tells every row apart"
    lines = [
        f"TABLE = {_text(columns.table)}",
        f"KEY = {_tuple(columns.key)}  # {made}{_guess('key' in columns.guessed and not columns.made_key)}",
        f"TARGET = {_text(columns.target)}  # {_ASKED[columns.outcome.task]}; empty where nobody knows yet",
        f'TASK = "{columns.outcome.task}"{_guess("task" in columns.guessed)}',
        _time(columns),
        "# Nothing that is known only afterwards belongs here: a model would learn from it and fail when it counts.",
        f"FEATURES = {_tuple(columns.features)}  {UNCHECKED}: was each known before the outcome?",
        *_left_out(columns),
        f"CATEGORIES = {_tuple(columns.categories)}",
    ]
    return "\n".join(lines)


def _time(columns: Columns) -> str:
    if columns.time:
        return f"TIME = {_text(columns.time)}  # the newest rows are held out"
    which = f"; it could be {', '.join(map(on_a_line, columns.times))}  {UNCHECKED}" if columns.times else ""
    return f"TIME = None  # rows are held out by lot, and with a column's name here the newest ones{which}"


def _left_out(columns: Columns) -> list[str]:
    if not columns.left_out:
        return []
    return [f"# Left out  {UNCHECKED}: one that was known in time may go back into FEATURES and into the contract:"] + [
        f"#   {one}" for one in columns.left_out
    ]


def _guess(guessed: bool) -> str:
    return f"  {UNCHECKED}" if guessed else ""


def as_contract(columns: Columns) -> str:
    """An ODCS 3.1 contract: types, a key that is unique, an outcome of the task's values. Ranges are yours to add."""
    made = [
        {"name": "row_content", "logicalType": "string", "primaryKey": True, "description": "A hash of what the row says."},
        {"name": "row_copy", "logicalType": "integer", "primaryKey": True, "description": "1, 2 ... among equal rows."},
    ]
    properties = [_property(name, kind, columns) for name, kind in columns.types.items()]
    name = columns.table.partition(".")[2]
    schema: dict[str, object] = {"name": name, "physicalType": "table"}
    if columns.made_key:
        schema["customProperties"] = [
            {"property": "contentKey", "value": [*columns.features, *([columns.time] if columns.time else [])]}
        ]
    tree = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": name.replace("_", "-"),
        "version": "1.0.0",
        "status": "active",
        "description": {"purpose": f"The rows of {columns.source.name}, as they were when the use case began."},
        "customProperties": [{"property": "zone", "value": "raw"}],
        "schema": [{**schema, "properties": [*(made if columns.made_key else ()), *properties]}],
    }
    return _to_judge(columns) + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def _to_judge(columns: Columns) -> str:
    """What was there is not what may be there, so it is no rule until somebody makes it one."""
    lines = [
        "No range is checked yet, so 1e300 would land unsaid. Judge what was seen, and write what may be to the column, as in",
        "logicalTypeOptions: {minimum: 0, maximum: 100}. Seen:",
        *(f"  {one}" for one in columns.seen),
    ]
    return f"{UNCHECKED}\n" + "".join(f"# {line}\n" for line in lines) if columns.seen else ""


def _property(name: str, kind: str, columns: Columns) -> dict[str, object]:
    made: dict[str, object] = {"name": name, **({"logicalType": kind} if kind else {})}
    if name in columns.key:
        made["primaryKey"] = True
    if name == columns.time:
        made["required"] = True
    if name == columns.target:
        made["customProperties"] = [{"property": "arrivesLater", "value": True}]
        made |= _allowed(columns, kind)
    return made


def _allowed(columns: Columns, kind: str) -> dict[str, object]:
    """What the outcome may be: one of the classes there are, or 1 or 0; a number's range is yours to say."""
    if columns.outcome.task == "multiclass" and kind in ("string", "integer"):
        names: list[str] | list[int] = list(columns.outcome.classes)
        classes = [int(one) for one in columns.outcome.classes] if kind == "integer" else names
        return {"quality": [{"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": classes}}]}
    if columns.outcome.task == "binary" and kind != "boolean":
        return {"logicalTypeOptions": {"minimum": 0, "maximum": 1}}
    return {}


def as_plan(columns: Columns) -> str:
    """What can be said from the data alone; no line of it counts before somebody has taken its mark away."""
    personal = [name for name in columns.features if _PERSONAL.search(name.lower())]
    named = ", ".join(map(on_a_line, personal[:6]))
    whom = f"The people that the rows speak of: {named}." if personal else "Nobody directly: no column speaks of a person."
    does = "Estimate" if columns.outcome.task == "regression" else "Tell"
    guesses = {
        "goal": f"{does} '{on_a_line(columns.target)}' of a row of {columns.source.name} before it is known.",
        "owner": _user(),
        "risk_class": "high" if personal else "minimal",
        "success_metric": "What gate.toml asks, on rows the model has not seen.",
        "affected_people": whom,
    }
    return "\n".join(
        [
            "# What the model is for, guessed from the file. What stands here is recorded with every version, so nothing",
            "# is registered before somebody has read each line, written what is true, and taken the mark at its end away.",
            *(f"{field} = {json.dumps(text, ensure_ascii=False)} {UNCHECKED}" for field, text in guesses.items()),
            "# risk_class: minimal, limited, high or unacceptable, as in Regulation (EU) 2024/1689",
            "",
        ]
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "me"


def _tuple(names: tuple[str, ...]) -> str:
    if len(line := ", ".join(map(_text, names))) < 80:
        return f"({line},)" if names else "()"
    return "(\n" + "".join(f"    {_text(name)},\n" for name in names) + ")"


def _text(name: str) -> str:
    """As Python source in double quotes."""
    quoted = repr(name)
    return '"' + quoted[1:-1].replace("\\'", "'") + '"' if '"' not in name else quoted
