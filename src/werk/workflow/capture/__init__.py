"""What a run was made of: the code as it lay in the folder, and the Python it ran on."""

from werk.workflow.capture.code import CodeTree, capture_code, checkout_code, diff, uncommitted
from werk.workflow.capture.environment import Environment, capture_environment, differences
from werk.workflow.capture.secrets import find_secrets, mask

__all__ = [
    "CodeTree",
    "Environment",
    "capture_code",
    "capture_environment",
    "checkout_code",
    "diff",
    "differences",
    "find_secrets",
    "mask",
    "uncommitted",
]
