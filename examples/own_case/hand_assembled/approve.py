"""python approve.py VERSION PERSON: let a version answer; whoever trained it may not."""

import sys
from datetime import UTC, datetime

from mlflow import MlflowClient
from settings import MODEL, TRACKING


def approve(version: str, person: str) -> None:
    client = MlflowClient(TRACKING)
    found = client.get_model_version(MODEL, version)
    trainer = client.get_run(found.run_id).data.tags["trainer"]
    if person == trainer:  # decided
        sys.exit(f"{person} trained {MODEL}:{version}, so somebody else approves it.")
    if found.tags.get("status") == "approved":
        sys.exit(f"{MODEL}:{version} is approved already.")
    client.set_model_version_tag(MODEL, version, "status", "approved")
    client.set_model_version_tag(MODEL, version, "approved_by", person)
    client.set_model_version_tag(MODEL, version, "approved_at", datetime.now(UTC).isoformat())
    client.set_registered_model_alias(MODEL, "champion", version)  # decided
    print(f"{MODEL}:{version} approved by {person}, and champion")


if __name__ == "__main__":
    approve(sys.argv[1], sys.argv[2])
