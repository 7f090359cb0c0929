"""Names for the return addresses in a panic: Septum prints them as offsets into its image, `+0x1234`."""
import re
import shutil
import subprocess

OFFSET = re.compile(rb"\+0x([0-9a-fA-F]{3,16})\b")
# Behind such a line the first address is where a CPU was; all others are where calls return to.
EXACT_NEXT = re.compile(rb"\bvector=\d+ error=|\bCPU \d+ was at\b")
LIMIT = 64


class Symboliser:
    """Asks addr2line. Without it, or without the unstripped image, it has no names and says nothing."""

    def __init__(self, image):
        self.image = image
        self.tool = shutil.which("addr2line")
        self.is_exact = False

    def missing(self):
        """What it would need to have names, in words; None: nothing."""
        if not self.tool:
            return "addr2line not found; on Debian and Ubuntu: apt-get install binutils"
        return None if self.image.exists() else f"{self.image} is not there; `make` builds it"

    def follow(self, line):
        """The names for the next line of a panic."""
        self.is_exact = self.is_exact or EXACT_NEXT.search(line) is not None
        if not OFFSET.search(line):
            return []
        names = self.names(line, is_return=not self.is_exact)
        self.is_exact = False
        return names

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
