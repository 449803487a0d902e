"""Makes outside text (from the provider, other systems, a damaged record) safe for a terminal and a log."""


def printable(text: str) -> str:
    """The text in one line, with a replacement character for each control character, escape, lone surrogate and change of direction."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else "\N{REPLACEMENT CHARACTER}"
