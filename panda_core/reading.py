"""Readers of what strangers send: each takes a value and what it is called, and says in one sentence what is wrong."""

import re
from collections.abc import Callable
from typing import Any

Reader = Callable[[str, Any], Any]


def read_object(where: str, behind: str, given: Any, readers: dict[str, Reader], needed: set[str]) -> dict[str, Any]:
    """The fields of an object that are there, each through its reader(what it is called, value).

    where: what the object is called; behind: what stands behind a field's name to say where it is.
    """
    if not isinstance(given, dict):
        raise ValueError(f"{where} is {show(given)}; it must be an object with {', '.join(sorted(needed))}.")
    unknown = [key for key in given if key not in readers]
    if unknown:
        raise ValueError(f"{where} has a field {show(unknown[0])}; it takes {', '.join(sorted(readers))}.")
    missing = sorted(needed - set(given))
    if missing:
        raise ValueError(f"{where} lacks {', '.join(missing)}.")
    return {key: read(key + behind, given[key]) for key, read in readers.items() if key in given}


def read_list(what: str, given: Any, low: int, high: int, wanted: str) -> list:
    if not isinstance(given, list) or not low <= len(given) <= high:
        raise ValueError(f"{what} is {show(given)}; it must be {wanted}.")
    return given


def read_whole(what: str, given: Any, low: int, high: int) -> int:
    if type(given) is not int or not low <= given <= high:  # not isinstance: True is an int
        raise ValueError(f"{what} is {show(given)}; it must be a whole number from {low} to {high}.")
    return given


def read_number(what: str, given: Any, low: float, high: float) -> float:
    if type(given) not in (int, float) or not low <= given <= high:  # NaN is in no range
        raise ValueError(f"{what} is {show(given)}; it must be a number from {low:g} to {high:g}.")
    return float(given)


def read_text(what: str, given: Any, pattern: str | re.Pattern, wanted: str, most: int = 500) -> str:
    if not isinstance(given, str) or len(given) > most or not re.fullmatch(pattern, given):
        raise ValueError(f"{what} is {show(given)}; it must be {wanted}.")
    return given


def read_word(what: str, given: Any, *words: str | bool) -> Any:
    if not any(type(given) is type(word) and given == word for word in words):  # 1 == True
        raise ValueError(f"{what} is {show(given)}; it must be {' or '.join(map(show, words))}.")
    return given


def or_null(reader: Reader) -> Reader:
    return lambda what, given: None if given is None else reader(what, given)


def show(given: Any) -> str:
    """A short look at a value, whatever it is; the whole of a long one is never built."""
    if isinstance(given, str):
        return repr(given if len(given) <= 40 else given[:40] + "…")
    if isinstance(given, list | dict):
        return f"{'a list' if isinstance(given, list) else 'an object'} of {len(given)}"
    if type(given) is int and abs(given) >= 10**18:
        return "a huge number"
    if given is None or isinstance(given, bool | int | float):
        return "null" if given is None else str(given).lower()
    return f"a {type(given).__name__}"


def read_field(what: str, given: Any, low: float, high: float, whole: bool = False) -> float:
    """A number from a form, where one that is whole may come as 3.0, and nothing as None."""
    if given is None:
        raise ValueError(f"{what} is empty; it must be a {'whole ' * whole}number from {low:.10g} to {high:.10g}.")
    return read_whole(what, as_whole(given), low, high) if whole else read_number(what, given, low, high)


def as_whole(number: float) -> float | int:
    """A JSON number that is whole as an int, anything else as it is, for a reader to refuse."""
    return int(number) if isinstance(number, float) and number.is_integer() else number
