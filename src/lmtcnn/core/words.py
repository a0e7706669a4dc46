"""Words that messages are made of; nothing is imported, so that `lmtcnn --help` waits for nothing."""


def number_of(n: int, what: str, many: str = "") -> str:
    """Say how many there are, in the singular or the plural.

    Parameters
    ----------
    n
        How many.
    what
        The word for one.
    many
        The word for several; without it, `what` with an s.

    Returns
    -------
    `1 stop`, `2 stops`.
    """
    return f"{n} {what if n == 1 else many or f'{what}s'}"
