"""What a row must be; a row that is not goes to the quarantine with the rule that it breaks."""

import pandas as pd
from settings import FEATURES, KEY, LEVELS, NUMBERS, TARGET

RANGES = {
    "Air temperature [K]": (250, 350),  # decided
    "Process temperature [K]": (250, 400),  # decided
    "Rotational speed [rpm]": (0, 5000),  # decided
    "Torque [Nm]": (0, 150),  # decided
    "Tool wear [min]": (0, 500),  # decided
}


def check(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The good rows, and the others with the column `broken`."""
    missing = [name for name in (KEY, *FEATURES) if name not in rows.columns]
    if missing:
        raise SystemExit(f"The file lacks {', '.join(missing)}.")
    broken = pd.Series("", index=rows.index)
    broken = _mark(broken, rows[KEY].isna(), f"{KEY} is missing")
    broken = _mark(broken, rows[KEY].duplicated(keep=False), f"{KEY} is not unique")
    broken = _mark(broken, ~rows["Type"].isin(LEVELS["type"]), "Type is not one of H, L, M")  # decided
    for name in NUMBERS:
        values = pd.to_numeric(rows[name], errors="coerce")
        low, high = RANGES[name]
        broken = _mark(broken, values.isna() & rows[name].notna(), f"{name} is no number")
        broken = _mark(broken, (values < low) | (values > high), f"{name} is out of range")
    if TARGET in rows.columns:
        broken = _mark(broken, rows[TARGET].notna() & ~rows[TARGET].isin([0, 1]), f"{TARGET} is not 0 or 1")
    bad = broken != ""
    return rows[~bad].copy(), rows[bad].assign(broken=broken[bad])


def _mark(broken: pd.Series, where: pd.Series, rule: str) -> pd.Series:
    return broken.where(~where | (broken != ""), rule)
