"""The alert rule, as the flags say it."""

from collections.abc import Collection

from aster_cli.checkpoint import ModelCard
from aster_cli.cli.durations import parse_length
from aster_cli.config import AlertRule, ThresholdMethod
from aster_cli.errors import UsageError

METHODS_OF: dict[str, tuple[ThresholdMethod, ...]] = {
    "threshold": ("fixed",),
    "alert_budget": ("quantile", "pot", "budget"),
    "fdr": ("conformal",),
}
"""The threshold methods that a setting means something to."""


def alert_rule(
    card: ModelCard,
    *,
    method: ThresholdMethod,
    threshold: float | None,
    alert_budget: float | None,
    k_of_n: str | None,
    merge_gap: str | None,
    suppress: str,
    fdr: float | None = None,
    min_duration: str = "0",
) -> AlertRule:
    """Take what the flags say, and for the rest what the model's own rule has.

    Raises:
        UsageError: A flag means nothing to the method, or nothing at all.
    """
    flags = {"threshold": threshold, "alert_budget": alert_budget, "fdr": fdr}
    given = {name: value for name, value in flags.items() if value is not None}
    _require_meant(given, method)
    k, n = _parse_k_of_n(k_of_n)

    def length(text: str | None, flag: str) -> float | None:
        return parse_length(text, flag, seconds_per_unit=card.schema.log.seconds_per_unit)

    return AlertRule(
        method=method,
        **{"alert_budget": card.config.alert.alert_budget, **given},
        k=k,
        n=n,
        merge_gap=length(merge_gap, "--merge-gap"),
        min_duration=length(min_duration, "--min-duration") or 0.0,
        suppress=length(suppress, "--suppress") or 0.0,
    )


def _require_meant(given: Collection[str], method: ThresholdMethod) -> None:
    """Refuse a flag that the threshold method makes nothing of."""
    for name in given:
        if method not in METHODS_OF[name]:
            raise UsageError(
                f"means nothing to the method {method}",
                where=f"--{name.replace('_', '-')}",
                hint=f"leave it out, or take --threshold-method {' or '.join(METHODS_OF[name])}",
            )
    if method == "fixed" and "threshold" not in given:
        raise UsageError(
            "fixed needs a threshold", where="--threshold-method", hint="give one with --threshold"
        )


def _parse_k_of_n(text: str | None) -> tuple[int, int]:
    """K and N of ``K/N``; 1 and 1 keep every row."""
    if text is None:
        return 1, 1
    k, slash, n = text.partition("/")
    if not (slash and k.strip().isdecimal() and n.strip().isdecimal()):
        raise UsageError(f"{text!r} is not possible", where="--k-of-n", hint="give K/N, as in 3/5")
    return int(k), int(n)
