"""The time in front of each line of a captured log: tools/capture writes it, what reads logs takes it away."""
import datetime
import re

STAMP = re.compile(r"^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] ", re.MULTILINE)


def now():
    """UTC, in milliseconds."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("[%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z] "


def strip(text):
    """The text without the times that stand at the beginning of its lines."""
    return STAMP.sub("", text)


class Stamper:
    """Puts before each line the time when its first byte came."""

    def __init__(self, clock=now):
        self.clock = clock
        self.is_inside = False  # of a line

    def take(self, data):
        stamped = b""
        for piece in re.findall(rb"[^\n]*\n|[^\n]+", data):  # a \r ends no line: progress is redrawn behind it
            stamped += piece if self.is_inside else self.clock().encode() + piece
            self.is_inside = not piece.endswith(b"\n")
        return stamped

