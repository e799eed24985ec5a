"""ASTER's networks; `aster.py` reads as the map of the others."""
