"""The results as ``docs/attribution.md``."""

from collections.abc import Sequence
from statistics import mean

from benchmarks.attribution.events import METRICS
from benchmarks.attribution.rankings import CANDIDATES, OURS, POOLS, SIMPLE
from benchmarks.attribution.results import RANDOM, MachineResult

Reading = tuple[str, str]
"""A ranking, and how it pools rows."""

POOLED = ("shares", "best pool")

CHOSEN: Reading = (OURS, "squares")

_HEAD = """\
# Attribution

Made by `python -m benchmarks.attribution`; do not edit.

An alarm names sensors. Are they the ones that experts named as causes? The logs of {machines} servers (SMD)
have {events} labelled events with known causes, {causes} of {sensors} sensors on average. Sensors are ranked
over the rows of the labelled event, whether aster raised an alarm there or not. HitRate@100% is the
share of an event's n causes among the first n sensors, HitRate@150% that among the first ⌊1.5 n⌋;
NDCG is over all sensors. Means are over events. aster has its defaults but for the language model,
which is left out.

`aster` is what [method.md](method.md#scoring) describes, its rows pooled by their squares, as in the
events that it tells of. It sees neither labels nor causes. But what it calls evidence was chosen by
these figures, from what is in the second table and variants of it, so they flatter it a little. Had
each machine's evidence and pool been chosen from the second table by the other machines alone,
HitRate@100% would be {left_out:.3f}; from 720 variants of aster's own evidence it was 0.804
([lab notes](lab-notes.md))."""

_SIMPLE = """\
## Against simple rankings

The simple rankings have no way of their own to pool an event's rows, so they are shown with every
one. `shares` is the mean over rows of a row's shares of the squared deviations; `mean`, `root` and
`squares` are means of these, of their roots and of their squares; `largest` is the largest."""

_CANDIDATES = """\
## Against other readings of the same model

Pooled by squares as aster's events are, by shares, and by whichever pool is best."""


def report(results: Sequence[MachineResult], llm: Sequence[MachineResult]) -> str:
    """The page.

    Args:
        results: Every machine, without a language model.
        llm: Some machines with the default one.
    """
    events = [event for result in results for event in result.events]
    head = _HEAD.format(
        machines=len(results),
        events=len(events),
        causes=round(mean(len(event.causes) for event in events)),
        sensors=results[0].sensors,
        left_out=left_out(results),
    )
    readings = [CHOSEN, *((name, pool) for name in SIMPLE for pool in POOLS), (RANDOM, "")]
    simple = [(*one, *map(_shown, figures(results, one))) for one in readings]
    others = []
    for name in (OURS, *CANDIDATES):
        best = _best(results, [(name, pool) for pool in POOLS])
        squares = map(_shown, figures(results, (name, "squares")))
        pools = [_shown(figures(results, one)[0]) for one in ((name, "shares"), best)]
        others.append((name, *squares, *pools, best[1]))
    parts = [
        head,
        _SIMPLE,
        _table(("ranking", "pooled by", *METRICS), simple),
        _CANDIDATES,
        _table(
            ("evidence", *METRICS, *(f"{METRICS[0]}, {p}" for p in POOLED), "that pool"), others
        ),
        "## By machine",
        "HitRate@100%, of the simple rankings with the pool that is best over all machines.",
        _machines(results, llm),
    ]
    return "\n\n".join(parts) + "\n"


def figures(results: Sequence[MachineResult], reading: Reading) -> tuple[float, ...]:
    """Means over all events, in the order of `METRICS`."""
    name, pool = reading
    found = [event.metrics[name][pool] for result in results for event in result.events]
    return tuple(mean(one[metric] for one in found) for metric in METRICS)


def left_out(results: Sequence[MachineResult]) -> float:
    """HitRate@100% where each machine's reading is chosen by the others' events alone."""
    readings = [(name, pool) for name in (OURS, *CANDIDATES) for pool in POOLS]
    found = []
    for one in results:
        others = [result for result in results if result is not one] or [one]
        name, pool = _best(others, readings)
        found += [event.metrics[name][pool][METRICS[0]] for event in one.events]
    return mean(found)


def _best(results: Sequence[MachineResult], readings: Sequence[Reading]) -> Reading:
    return max(readings, key=lambda reading: figures(results, reading)[0])


def _machines(results: Sequence[MachineResult], llm: Sequence[MachineResult]) -> str:
    best = [_best(results, [(name, pool) for pool in POOLS]) for name in SIMPLE]
    with_llm = {one.entity: one for one in llm}
    rows = []
    for one in results:
        readings = [CHOSEN, *best, (RANDOM, "")]
        other = with_llm.get(one.entity)
        also = "" if other is None else _shown(figures([other], CHOSEN)[0])
        values = [_shown(figures([one], reading)[0]) for reading in readings]
        rows.append((one.entity, str(len(one.events)), values[0], also, *values[1:]))
    simple = [f"{name}, {pool}" for name, pool in best]
    return _table(("machine", "events", OURS, "with the LLM", *simple, RANDOM), rows)


def _shown(value: float) -> str:
    return f"{value:.3f}"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
