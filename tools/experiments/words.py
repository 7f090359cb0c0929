"""Numbers and names as people and files have them."""
import math
import re


def slug(text):
    return re.sub(r"[^a-z0-9]+", "-", str(text).lower()).strip("-") or "x"


def plain(value):
    """A value of a table as JSON has it; None for what is not there."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() else round(value, 4)
    return value


def number(value):
    """A number for a sentence."""
    value = plain(value)
    if value is None:
        return "–"
    if isinstance(value, float) and abs(value) < 100:
        return f"{value:.3g}"
    if isinstance(value, (int, float)):
        return f"{round(value):,}".replace(",", "\u202f")
    return str(value)


def count(value, one, many=None):
    """`1 region`, `2 regions`."""
    return f"{number(value)} {one if value == 1 else many or one + 's'}"


def listed(words):
    """`a, b and c`."""
    words = [str(word) for word in words]
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
