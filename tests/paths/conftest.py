"""A team's servers for a whole project: a PostgreSQL and an S3 API, each a process of its own."""

from __future__ import annotations

import itertools
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # it carries no types
import pytest

sys.path.insert(0, str(Path(__file__).parent))
_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Team:
    """`environment` is what the template's `team` profile refers to; `hidden` are the values nobody may find again."""

    journal_url: str
    environment: dict[str, str]
    hidden: tuple[str, ...]
    bucket: str
    s3: Any

    def stored(self) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """It takes a free port by itself and says which in its log; a pipe nobody reads would fill up and stop it."""
    log = tmp_path_factory.mktemp("s3") / "log"
    with log.open("wb") as written:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        server = subprocess.Popen(command, stdout=written, stderr=subprocess.STDOUT)
    try:
        yield _address(log, server)
    finally:
        server.terminate()
        server.wait(10)


def _address(log: Path, server: subprocess.Popen[bytes]) -> str:
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        said = re.search(r"Running on (http://127\.0\.0\.1:\d+)", log.read_text())
        if said:
            return said[1]
        time.sleep(0.05)
    raise TimeoutError("the S3 server does not answer")


@pytest.fixture(scope="module")
def team(postgres_server: Any, s3_endpoint: str) -> Team:
    """An empty database and an empty bucket, with credentials made up for this run."""
    password, key, secret = (secrets.token_hex(12) for _ in range(3))
    number = next(_NUMBERS)
    database, bucket = f"werk_team_{number}", f"werk-team-{number}"
    postgres_server.psql(f"CREATE DATABASE {database}")
    url = postgres_server.get_uri(database=database).replace("postgres:@", f"postgres:{password}@")
    assert password in url
    s3 = boto3.client(
        "s3", endpoint_url=s3_endpoint, aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1"
    )
    s3.create_bucket(Bucket=bucket)
    environment = {
        "WERK_JOURNAL_URL": url,
        "WERK_TABLES": f"s3://{bucket}/lake",
        "WERK_BUCKET": bucket,
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
    }
    return Team(url, environment, (password, key, secret), bucket, s3)
