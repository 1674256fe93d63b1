"""`werk help`: an error code, a command or a topic, explained from werk's own source, offline and outside any project."""

from __future__ import annotations

from collections.abc import Sequence

from typer.core import TyperGroup

from werk.app import codes
from werk.app.answers import Answer
from werk.core.errors import unknown

# Why an error of a room exists: what that room stands for, and what would go wrong if it said nothing.
WHY = {
    "app": "The command line checks what it is given before it touches anything, so that a typing error costs nothing.",
    "core": "What all of werk shares (names, times, versions) has one form each, so that one thing has one name.",
    "data": "A table version is what it was checked to be: rows that do not fit are refused or set aside, and that is said.",
    "engine": "A run's finished steps are kept, and one worker at a time drives it, so that no step is lost or done twice.",
    "features": "A feature is joined as it was known at the row's own time; what would leak the future is refused.",
    "governance": "Who may do what is decided by proof of who acts, and the trainer of a model never approves it alone.",
    "identity": "Who acts is proved, by a token or by the account of this machine; an unproved name is not taken.",
    "journal": "The journal is the one record of what happened; unsure of what was written, it stops instead of guessing.",
    "key_store": "Keys decide who can read and sign; a key that others can read, or that is not the expected one, is not used.",
    "meter": "What a step took is measured between one start and one stop, or it is not told at all.",
    "model_format": "A model is kept in an open form without pickles, so that reading one never runs foreign code.",
    "models": "A model is fitted, evaluated and asked only with rows that say what it needs, so that its figures mean something.",
    "monitoring": "A monitor compares with what the version was accepted on; without that, its verdict would mean nothing.",
    "object_store": "A stored object never changes under its key, so that what refers to it stays true.",
    "pipelines": "The built-in steps join rooms: what one of them hands on must be what the next one can prove.",
    "registry": "A version is registered, approved and deployed on evidence; what is missing is missing for the auditor too.",
    "serving": "The server answers known callers only, and only what the deployed model can answer like a batch.",
    "table_store": "Others may reach the store of a table's versions; what is found there must be what the journal tells of.",
    "testing": "The conformance tests of a port say in which promise an adapter fails.",
    "workflow": "A pipeline's code, inputs and environment are recorded, so that it can be repeated.",
}
MOVES = {
    "InputError": "yours: what was given (a name, a file, a setting, a value) has to change",
    "Refused": "of whoever may decide: a gate, a policy or a role said no",
    "Tampered": "of whoever keeps the record: find out who changed it before anything relies on it",
    "Lost": "nobody's: another worker has the run, and what it finishes counts",
    "Transient": "nobody's yet: it may go away by itself, try again",
}
FAILED = "of whoever runs it: it was tried and did not work; mend the cause, then do the same again"
CALLER = "the caller's when the status is 4xx; of whoever runs the server when it is 5xx (then the caller may try again)"
NO_HINT = "The error itself names the next step, which depends on what was found; do what its line `next:` says."


def help_on(word: str | None) -> Answer:
    """Explain one word; without one, list the commands."""
    if word is None:
        return _commands(())
    asked = word.strip().strip("[]").lower()
    known = codes.of_commands()
    served = codes.of_server()
    if asked in known or any(asked == code for _, code, _ in served):
        return _of_code(asked, known.get(asked), sorted(one for one in served if one[1] == asked))
    if path := _path(asked):
        return _commands(path)
    topics = _topics([*known, *(code for _, code, _ in served)])
    if asked in topics:
        return _of_topic(asked, topics[asked], known)
    names = [*known, *topics, *_tree().commands, *(code for _, code, _ in served)]
    hint = "`werk help` lists the commands; docs/reference.md lists the codes."
    raise unknown("command, error code or topic", word, names, code="help-unknown", hint=hint)


def _of_code(asked: str, known: codes.Code | None, served: Sequence[tuple[str, str, str]]) -> Answer:
    means = [*(known.says if known else ()), *(f"{said} (HTTP {status})" for status, _, said in served)]
    rooms = known.rooms if known else ("serving",)
    record: dict[str, object] = {
        "code": asked,
        "exit_code": known.exit_code if known else None,
        "means": means,
        "why": _why(rooms),
        "move": MOVES.get(known.kind, FAILED) if known else CALLER,
        "next": list(known.hints) if known and known.hints else [NO_HINT],
        "example": _example(asked, known, means[0]),
    }
    ends = f"Ends a command with exit code {known.exit_code}." if known else "Answered by the prediction server."
    parts = [f"{asked}: {ends}", *_part("Means (‹ › stands for what the error names)", means), *_part("Why", record["why"])]
    parts += [*_part("Whose move", [record["move"]]), *_part("Next", record["next"]), *_part("Looks like", [record["example"]])]
    return Answer(record=record, text="\n".join(parts))


def _why(rooms: Sequence[str]) -> list[str]:
    """Of the rooms that raise it; what the command line says of itself only where no other does."""
    own = [room for room in rooms if room != "app"]
    return [WHY[room] for room in own or rooms]


def _part(title: str, lines: object) -> list[str]:
    assert isinstance(lines, list)
    return ["", title, *(f"  {line}" for line in lines)]


def _example(asked: str, known: codes.Code | None, said: str) -> str:
    if known is None:
        return f'{{"error": "{said.partition(" (HTTP")[0]}", "code": "{asked}"}}'
    return f"{ {2: 'input', 3: 'refused'}.get(known.exit_code, 'failed') }: {said} [{asked}]"


def _topics(names: Sequence[str]) -> dict[str, list[str]]:
    """The first words of codes, each with its codes."""
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        found.setdefault(name.partition("-")[0], []).append(name)
    return found


def _of_topic(topic: str, named: Sequence[str], known: dict[str, codes.Code]) -> Answer:
    rows = [
        {"code": name, "says": known[name].says[0] if name in known else "Answered by the prediction server."} for name in named
    ]
    width = max(len(name) for name in named)
    lines = [
        f"Errors about '{topic}' (`werk help CODE` explains one):",
        *(f"  {row['code']:<{width}}  {row['says']}" for row in rows),
    ]
    return Answer(rows=rows, text="\n".join(lines))


def _tree() -> TyperGroup:
    from werk.app.cli import commands

    return commands()


def _path(asked: str) -> tuple[str, ...]:
    """The words of a command or of a group of commands, or none."""
    inner: object = _tree()
    for word in (words := tuple(asked.split())):
        inner = getattr(inner, "commands", {}).get(word)
        if inner is None:
            return ()
    return words


def _commands(path: Sequence[str]) -> Answer:
    command = _tree()
    context = command.make_context("werk", [], resilient_parsing=True)
    found = command
    for word in path:
        found = found.commands[word]  # type: ignore[assignment]  # a group holds commands and groups
        context = type(context)(found, info_name=word, parent=context)
    text = found.get_help(context)
    record = {"command": " ".join(("werk", *path)), "help": text}
    more = "" if path else "\n\n`werk help COMMAND` shows one of them, `werk help CODE` explains an error."
    return Answer(record=record, text=text + more)
