"""Names for the return addresses in a panic: Septum prints them as offsets into its image, `+0x1234`."""
import re
import shutil
import subprocess

OFFSET = re.compile(rb"\+0x([0-9a-fA-F]{3,16})\b")
LIMIT = 64


class Symboliser:
    """Asks addr2line. Without it, or without the unstripped image, it has no names and says nothing."""

    def __init__(self, image):
        self.image = image
        self.tool = shutil.which("addr2line")

    def names(self, line, is_return):
        """One text for each code offset in `line`: function and source line, inlined callers included.

        A call returns to the instruction behind it, which may belong to another line or function: look one byte earlier.
        """
        offsets = [int(match, 16) - is_return for match in OFFSET.findall(line)][:LIMIT]
        if not offsets or not self.tool or not self.image.exists():
            return []
        ask = [self.tool, "-e", str(self.image), "-f", "-p", "-i", "-s"] + [f"{offset:#x}" for offset in offsets]
        try:
            answer = subprocess.run(ask, capture_output=True, text=True, timeout=20, check=False).stdout
        except (OSError, subprocess.TimeoutExpired):
            return []
        return [text.strip() for text in answer.splitlines() if text.strip() and not text.startswith("??")]
