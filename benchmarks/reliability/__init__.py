"""Faults of every kind, put into real runs, and what is left of them afterwards."""
