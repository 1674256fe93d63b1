"""python land.py NAME FILE: check a CSV and keep its rows as the offline source of the features."""

import hashlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from contract import check
from settings import DATA, KEY, SOURCE, TARGET


def land(name: str, file: Path) -> None:
    DATA.mkdir(parents=True, exist_ok=True)
    raw = file.read_bytes()
    good, bad = check(pd.read_csv(file))
    if good.empty:
        raise SystemExit(f"No row of {file} is good: nothing lands.")
    if len(bad):
        bad.to_csv(DATA / f"{name}.quarantine.csv", index=False)  # decided
    now = datetime.now(UTC)
    columns = [KEY, *SOURCE, *([TARGET] if TARGET in good.columns else [])]
    rows = good[columns].rename(columns={**SOURCE, KEY: "uid", TARGET: "failed"})
    rows = rows.assign(event_timestamp=pd.Timestamp(now), created=pd.Timestamp(now))  # decided
    target = DATA / f"{name}.parquet"
    unfinished = target.with_suffix(".unfinished")  # decided
    rows.to_parquet(unfinished, index=False)
    unfinished.replace(target)
    facts = {
        "file": file.name,
        "sha256": hashlib.sha256(raw).hexdigest(),
        "rows": len(rows),
        "quarantined": len(bad),
        "at": now.isoformat(),
    }
    (DATA / f"{name}.json").write_text(json.dumps(facts, indent=1))
    print(f"{name}: {len(rows)} rows landed, {len(bad)} in quarantine")


if __name__ == "__main__":
    land(sys.argv[1], Path(sys.argv[2]))
