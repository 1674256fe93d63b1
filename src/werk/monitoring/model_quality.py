"""Whether the model still ranks as well as it did when it was accepted."""

from __future__ import annotations

from werk.monitoring.verdict import MonitorVerdict


def check_model(metric: str, window: str, value: float | None, interval: tuple[float, float]) -> MonitorVerdict:
    """For metrics where more is better; `value` is None while the window's labels have not arrived."""
    low, high = interval
    if value is None or value != value:
        return MonitorVerdict("model", window, "cannot say", f"{window}: the outcomes needed for {metric} are not there yet")
    verdict_values = {"value": value, "low": low, "high": high}
    if value < low:
        sentence = f"{window}: {metric} {value:.3f} is below the {low:.3f} to {high:.3f} of its baseline"
        return MonitorVerdict("model", window, "violation", sentence, {**verdict_values})
    return MonitorVerdict("model", window, "ok", f"{window}: {metric} {value:.3f} is as good as its baseline", {**verdict_values})
