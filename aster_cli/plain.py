"""Text from outside, as a terminal may have it."""

import unicodedata

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # Unicode categories


def plain(text: object) -> str:
    """Spell control and invisible characters out; all others stay as they are.

    Neither colours nor cursor moves, neither titles nor text that runs backwards get through, nor
    what no encoding can hold.
    """
    shown = str(text)
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _UNSEEN
        else character
        for character in shown
    )


def plain_lines(text: str) -> str:
    """The same for text of several lines, which stay lines."""
    return "\n".join(map(plain, text.split("\n")))
