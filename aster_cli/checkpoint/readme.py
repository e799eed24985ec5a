"""The model card that lies in the directory, for whoever opens it without aster."""

from aster_cli.checkpoint.values import Checkpoint
from aster_cli.plain import plain


def readme(checkpoint: Checkpoint) -> str:
    """The card in Markdown."""
    schema, training = checkpoint.schema, checkpoint.training
    unit = "s" if schema.log.seconds_per_unit is not None else "counts"
    last = training.epochs[-1]
    sensors = "\n".join(f"- `{plain(name)}`" for name in schema.log.sensors)
    losses = "\n".join(f"| {name} | {value:.4g} |" for name, value in last.losses.items())
    return f"""# An aster detector

Trained on `{plain(checkpoint.log_name)}`: {training.rows:,} rows of {training.machines} machine(s),
{training.start} to {training.end}, one row every {schema.period:g} {unit}.

- Windows of {schema.window_size} rows, every {schema.stride} rows when scoring.
- Language model: `{plain(checkpoint.config.model.backbone)}`, LoRA rank \
{checkpoint.config.model.lora_rank}.
- Threshold from {training.calibration_rows:,} rows, held out or expected from other parts of the log
  (about {training.effective_rows:,} independent windows), for \
{checkpoint.config.alert.alert_budget:.2%} of normal rows.

It knows the normal behaviour in that span and nothing else: a new season, a changed set point or
a rescaled sensor looks anomalous to it. `aster inspect` shows the rest.

## Sensors

{sensors}

## Losses in the last epoch

| term | value |
|---|---|
{losses}
"""
