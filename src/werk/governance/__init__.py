"""Who acts, what was planned, and how sure we are that two people are two."""

from werk.governance.actors import (
    actor_named,
    actor_of,
    assurance_of,
    enrol,
    issue_token,
    renew_token,
    revoke_tokens,
    tokens_that_count,
)
from werk.governance.facts import PROJECTIONS
from werk.governance.plan import UNCHECKED, Plan, RiskClass, check_risk, load_plan, record_plan, recorded_plan

__all__ = [
    "PROJECTIONS",
    "UNCHECKED",
    "Plan",
    "RiskClass",
    "actor_named",
    "actor_of",
    "assurance_of",
    "check_risk",
    "enrol",
    "issue_token",
    "load_plan",
    "record_plan",
    "recorded_plan",
    "renew_token",
    "revoke_tokens",
    "tokens_that_count",
]
