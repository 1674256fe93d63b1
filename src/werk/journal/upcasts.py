"""A body that an earlier release wrote, as today's readers know it; what is stored and hashed stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import cast

from werk.core.canonical import JSON
from werk.core.journal import Fact

Body = Mapping[str, JSON]
# By kind and by the version of a body: what makes the next version of it. Pure, as a projection's `apply` is.
Upcasts = Mapping[str, Mapping[int, Callable[[Body], Body]]]
NONE: Upcasts = MappingProxyType({})


def upcast(fact: Fact, upcasts: Upcasts) -> Fact:
    """The fact with its body in the newest version that is known, step by step; its hashes stay those of what was written."""
    steps = upcasts.get(fact.kind)
    if not steps or fact.body is None:
        return fact
    body, v = fact.body, cast("int", fact.body["v"])
    while v in steps:
        body, v = {**steps[v](body), "v": v + 1}, v + 1
    return replace(fact, body=body)
