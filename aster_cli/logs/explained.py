"""Explanations: what stands beside each other for every scored row and sensor."""

SENSOR = "sensor"
EXPLAINED = ("actual", "expected", "low", "high")
"""What an explanation has beside ``timestamp``, the id columns and the sensor's name, as Float64."""
