"""`sept map` and `top` on the platform with vCPUs at work, and the picture that is made of what `top` printed."""
import re
import subprocess
import sys
import xml.etree.ElementTree

import pytest

from conftest import PROMPT, ROOT, Septum

sys.path.insert(0, str(ROOT / "tools"))
from runner.stamp import Stamper  # noqa: E402

LIMIT_S = 300
BASE = 0x4000000
REGION = 2 << 20
REGIONS = 4
TOOL = ROOT / "tools" / "top-picture"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
COLUMNS = 80


@pytest.fixture(scope="module")
def machine():
    """Four CPUs: the console's, two with vCPUs, and one that is free for the policy's work."""
    septum = Septum("--smp", "4", timeout=1200)
    try:
        septum.wait_for_prompt()
        septum.good("tdx init", LIMIT_S)
        septum.good("td create mem=256M vcpus=2", LIMIT_S)
        septum.good("td run", LIMIT_S)
        septum.good(f"probe accept {BASE:x} {REGIONS * 2}M 2m", LIMIT_S)
        yield septum
    finally:
        septum.stop()


@pytest.fixture()
def at_work(machine):
    """One vCPU spins, the other writes to the first two regions, until the test is over."""
    machine.good("probe spin 3600000 cpu=0 &")
    machine.good(f"probe touch {BASE:x} 4M stride=4K order=random count=1000000000 cpu=1 &")
    yield machine
    machine.send("\x03")
    machine.child.expect_exact("taken out of work", timeout=LIMIT_S)
    machine.command("wait all", LIMIT_S)


def rows(text):
    """(address, letters) of each row of a map."""
    return [(int(address, 16), letters) for address, letters in re.findall(r"^ *([0-9a-f]+) ([GMkxBsp.]+)\r?$", text, re.MULTILINE)]


def test_map_of_a_td_at_work(at_work):
    at_work.good(f"split {BASE + REGION:x} 2m", LIMIT_S)
    at_work.good(f"convert {BASE + 2 * REGION:x} 4K shared force", LIMIT_S)
    answer = at_work.good("sept map", LIMIT_S)
    text = CONTROL.sub("", answer.text)
    assert text != answer.text  # it was in colour
    assert all(len(line) <= COLUMNS for line in text.splitlines())
    (first, letters), (second, more) = rows(text)
    assert (first, second, len(letters), len(more)) == (0, 64 * REGION, 64, 64)
    index = BASE // REGION
    assert letters[index:index + REGIONS + 1] == "MkxM."
    assert letters[:index].count("p") == 0 and more[-1] == "x"  # the payload lies at the top
    assert answer["cell_bytes"] == REGION and sum(answer["cells"].values()) == 128
    assert answer["cells"] == {"1g": 0, "2m": 2, "4k": 1, "mixed": 2, "blocked": 0, "shared": 0, "pending": 0, "absent": 123}

    answer = at_work.good(f"sept map {BASE + 2 * REGION:x} 2M colour=0", LIMIT_S)
    assert rows(answer.text)[0] == (BASE + 2 * REGION, "s" + "k" * 63)
    assert answer["cells"]["shared"] == 1 and answer["cells"]["4k"] == 511
    assert at_work.good("vcpu list")["vcpus"][1]["runs"] is True
    at_work.good(f"convert {BASE + 2 * REGION:x} 4K private force", LIMIT_S)
    assert at_work.good("sept", LIMIT_S)["agree"] is True


def test_top_is_a_live_screen(at_work):
    at_work.send("top every=100\r")
    at_work.child.expect_exact("\x1b[6n", timeout=LIMIT_S)
    at_work.send("\x1b[24;80R")
    seen = []
    for _ in range(4):
        at_work.child.expect_exact("\x1b[H", timeout=LIMIT_S)
        seen.append(at_work.child.before)
    frame = CONTROL.sub("", seen[-1])
    assert "TD running, 256 MiB" in frame and "TD exits a second" in frame and "policy none" in frame
    assert all(len(line) <= COLUMNS for line in frame.splitlines()) and len(frame.splitlines()) < 24
    assert frame.count("working") == 2
    at_work.send("q")
    answer = at_work.answer(LIMIT_S)
    assert answer["ok"] is True and answer["samples"] >= 2
    assert answer["vcpu_states"] == ["working", "working"]


def test_top_prints_lines_and_its_picture_shows_the_merge(machine, tmp_path):
    machine.good("policy none")
    machine.good(f"split {BASE:x} 2m", LIMIT_S)
    machine.good("probe spin 3600000 cpu=0 &")
    before = machine.good("top count=2 every=20", LIMIT_S)
    assert before["mapped_bytes"]["4k"] >= REGION and before["exits"] >= 0
    machine.good("policy ready delay=0 rest=1", LIMIT_S)
    for _ in range(100):
        after = machine.good("top count=3 every=20", LIMIT_S)
        if after["merged"] and after["mapped_bytes"]["2m"] > before["mapped_bytes"]["2m"]:
            break
    assert after["mapped_bytes"]["2m"] == before["mapped_bytes"]["2m"] + before["mapped_bytes"]["4k"] - after["mapped_bytes"]["4k"]
    assert after["merged"] >= 1 and after["policy"] == "ready" and after["large_percent"] > before["large_percent"]
    machine.good("policy none", LIMIT_S)

    log, picture = tmp_path / "log", tmp_path / "top.svg"
    log.write_text(before.text + after.text, encoding="latin-1")
    subprocess.run([str(TOOL), str(log), str(picture)], check=True)
    labels = [text.text for text in xml.etree.ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}text")]
    assert "none" in labels and "ready" in labels
    machine.send("\x03")
    machine.child.expect_exact("taken out of work", timeout=LIMIT_S)
    machine.command("wait all", LIMIT_S)


# --- the tool alone ---

SAMPLE = ("top {n} ms={ms} exits_per_s=1 seamcalls_per_s=2 4k={small} 2m={large} 1g=0 shared=0 large=0% policy={policy} queued=0 "
          "blocked=0 resting=0 merged=0 vcpus=idle:1\r\n")


def sample(n, small, large, policy="ready"):
    return SAMPLE.format(n=n, ms=n * 500, small=small, large=large, policy=policy)


def picture_of(tmp_path, text):
    picture = tmp_path / "out.svg"
    done = subprocess.run([str(TOOL), "-", str(picture)], input=text.encode("latin-1"), stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stderr.decode(), picture


def test_picture_has_a_line_for_each_top(tmp_path):
    text = f"{PROMPT}top count=2\r\n" + sample(1, 300, 100) + "[info] something\r\n" + sample(2, 0, 400) + "@{}\r\n"
    status, error, picture = picture_of(tmp_path, text + sample(1, 400, 0, "none") + text)
    assert (status, error) == (0, "")
    tree = xml.etree.ElementTree.parse(picture)
    lines = [line.get("points").split() for line in tree.iter("{http://www.w3.org/2000/svg}polyline")]
    labels = [text.text for text in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert [len(line) for line in lines] == [2, 1, 2]
    assert lines[0] == lines[2] and lines[0][0] == "300.0,285.0" and lines[0][1] == "530.0,30.0"  # 25% at 0.5 s, all at 1 s
    assert lines[1] == ["300.0,370.0"]
    assert {"ready (1)", "none", "ready (2)"} <= set(labels)
    drawn = picture.read_bytes()
    captured = Stamper().take((text + sample(1, 400, 0, "none") + text).encode()).decode()
    assert picture_of(tmp_path, captured)[0] == 0 and picture.read_bytes() == drawn


@pytest.mark.parametrize("text, words", [
    ("", "no sample"),
    ("version\r\n", "no sample"),
    (sample(1, 1, 1).split(" 2m=")[0], "-:1: the sample has no 2m=: was the line cut?"),
    (sample(1, 1, 1).replace("4k=1", "4k=x"), "-:1: 4k=x is no number"),
    (sample(1, 1, 1) + sample(3, 1, 1), "-:2: sample 3 does not follow"),
    (sample(2, 1, 1), "-:1: sample 2 does not follow"),
])
def test_damaged_log_draws_nothing(tmp_path, text, words):
    status, error, picture = picture_of(tmp_path, text)
    assert status == 1 and words in error and not picture.exists()
