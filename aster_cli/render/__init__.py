"""What the commands show: pure functions from values to Rich renderables, and the consoles.

Nothing else in the house knows Rich's markup or colours. Text from logs reaches the terminal only
through `aster_cli.wording.plain`.
"""
