"""Evaluation: honest metrics for row scores, and the simple peers to hold a detector against."""
