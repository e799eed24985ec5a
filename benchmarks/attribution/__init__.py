"""Attribution: whether aster names the sensors that experts named as causes.

    python -m benchmarks.attribution

trains on every machine whose test log comes with root causes, ranks the sensors of every labelled
event in several ways, writes one JSON file a machine under ``results/``, and makes
``docs/attribution.md`` of them.
"""
