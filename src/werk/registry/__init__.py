"""Model versions, the gates they pass, the approvals they get and the aliases that name them."""

from werk.registry.approvals import approve, point, reject, retire, set_alias
from werk.registry.decision import Decision, RuleVerdict, decide
from werk.registry.facts import PROJECTIONS
from werk.registry.gate import Gate
from werk.registry.register import record_evaluation, register, stored_report
from werk.registry.versions import AliasChange, Registered, alias_history, champion_at, registered, resolve, version_row, versions

__all__ = [
    "PROJECTIONS",
    "AliasChange",
    "Decision",
    "Gate",
    "Registered",
    "RuleVerdict",
    "alias_history",
    "approve",
    "champion_at",
    "decide",
    "point",
    "record_evaluation",
    "register",
    "registered",
    "reject",
    "resolve",
    "retire",
    "set_alias",
    "stored_report",
    "version_row",
    "versions",
]
