"""What a run was made of: the code as it lay in the folder, and the Python it ran on."""

from werk.workflow.capture.code import CodeTree, capture_code, checkout_code, diff, kept_file, uncommitted, withheld
from werk.workflow.capture.credentials import file_secrets
from werk.workflow.capture.distributions import altered, is_installed
from werk.workflow.capture.environment import (
    Environment,
    capture_environment,
    differences,
    result_digest,
    variables_for,
)
from werk.workflow.capture.git import in_no_repository, refusal
from werk.workflow.capture.secrets import find_secrets, mask

__all__ = [
    "CodeTree",
    "Environment",
    "altered",
    "capture_code",
    "capture_environment",
    "checkout_code",
    "diff",
    "differences",
    "file_secrets",
    "find_secrets",
    "in_no_repository",
    "is_installed",
    "kept_file",
    "mask",
    "refusal",
    "result_digest",
    "uncommitted",
    "variables_for",
    "withheld",
]
