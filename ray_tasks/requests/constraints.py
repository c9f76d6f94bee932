"""What a request asks for, as typed constraints over the catalogue."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Constraints:
    """Labels of the vocabulary that an item is to have or not to have, items that it is to be like or not, its years.

    Labels and item ids are sorted, each once. `first_year` and `last_year` are the bounds, both included; None is none.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    first_year: int | None = None
    last_year: int | None = None

    def __bool__(self) -> bool:
        """True if the request asks for anything that is understood."""
        return self != Constraints()
