"""Random work on a TD's memory through the console, with a model of what every page holds.

Guards: after any mix of conversions, splits and merges each page is what it should be, private or shared, with its own data;
mirror and module agree; a merge works exactly where a region is whole. SEPTUM_SEED=N plays another game.
"""
import os
import random

import pytest

PAGE = 0x1000
REGION_PAGES = 512
PAGES = 16 * REGION_PAGES
STEPS = {"inplace": 120, "scatter": 60}
NEW = None  # a page that nobody has filled since it changed sides


class Model:
    """What each page is and which seed filled it."""

    def __init__(self):
        self.shared = [False] * PAGES
        self.seed = [NEW] * PAGES

    def runs(self, start, end):
        """Pieces of [start, end) with one kind and seed."""
        first = start
        for page in range(start + 1, end + 1):
            if page == end or (self.shared[page], self.seed[page]) != (self.shared[first], self.seed[first]):
                yield first, page
                first = page

    def is_whole(self, region):
        return not any(self.shared[region * REGION_PAGES : (region + 1) * REGION_PAGES])


def random_range(chance):
    """Short, odd, long and whole-region ranges alike."""
    kind = chance.randrange(4)
    if kind == 0:
        start = chance.randrange(PAGES)
        return start, start + 1
    if kind == 1:
        region = chance.randrange(PAGES // REGION_PAGES)
        count = chance.randint(1, min(3, PAGES // REGION_PAGES - region))
        return region * REGION_PAGES, (region + count) * REGION_PAGES
    start = chance.randrange(PAGES - 1)
    longest = 24 if kind == 2 else 3 * REGION_PAGES
    return start, min(PAGES, start + chance.randint(1, longest))


def where(start, end):
    return f"{start * PAGE:x} {(end - start) * PAGE:#x}"


def convert(td, model, chance):
    start, end = random_range(chance)
    to_shared = chance.random() < 0.5
    td.good(f"probe convert {where(start, end)} {'shared' if to_shared else 'private'}")
    for page in range(start, end):
        # A page that already is what it should become keeps its data.
        if model.shared[page] != to_shared:
            model.shared[page], model.seed[page] = to_shared, NEW


def fill(td, model, chance):
    seed = chance.randrange(1, 1000)
    start, end = random_range(chance)
    for first, last in list(model.runs(start, end)):
        td.good(f"probe fill {where(first, last)} seed={seed} shared={int(model.shared[first])}")
        model.seed[first:last] = [seed] * (last - first)


def verify(td, model, start, end):
    for first, last in model.runs(start, end):
        if model.seed[first] is not NEW:
            answer = td.good(f"probe verify {where(first, last)} seed={model.seed[first]} shared={int(model.shared[first])}")
            assert answer["bad_bytes"] == 0


def merge(td, model, chance):
    region = chance.randrange(PAGES // REGION_PAGES)
    gpa = region * REGION_PAGES * PAGE
    is_split = model.is_whole(region) and td.good(f"walk {gpa:x}")["level"] == "4k"
    answer = td.command(f"merge {gpa:x} 2m")
    assert answer["ok"] == is_split, answer
    if model.is_whole(region):
        assert td.good(f"walk {gpa:x}")["level"] == "2m"


def split(td, model, chance):
    region = chance.randrange(PAGES // REGION_PAGES)
    gpa = region * REGION_PAGES * PAGE
    is_leaf = model.is_whole(region) and td.good(f"walk {gpa:x}")["level"] == "2m"
    assert td.command(f"split {gpa:x} 2m")["ok"] == is_leaf


def block_and_back(td, model, chance):
    page = chance.randrange(PAGES)
    if model.shared[page]:
        return
    level = td.good(f"walk {page * PAGE:x}")["level"]
    gpa = page * PAGE & ~(REGION_PAGES * PAGE - 1) if level == "2m" else page * PAGE
    td.good(f"block {gpa:x} {level}")
    td.good(f"unblock {gpa:x} {level}")


@pytest.fixture(params=["inplace", "scatter"])
def td(septum, request):
    free = septum.good("mem")["free_bytes"]
    septum.backing = request.param
    septum.good(f"td create mem=64M backing={request.param}")
    septum.good("td run")
    septum.good(f"probe accept 0 {PAGES * PAGE:#x} 2m")
    yield septum
    septum.good("td destroy")
    assert septum.good("mem")["free_bytes"] == free


def test_random_work_keeps_data_and_shape(td):
    chance = random.Random(int(os.environ.get("SEPTUM_SEED", "1")))
    model = Model()
    fill(td, model, chance)
    work = [convert] * 5 + [fill] * 4 + [merge] * 4 + [split, block_and_back]
    for step in range(STEPS[td.backing]):
        chance.choice(work)(td, model, chance)
        if step % 10 == 9:
            start, end = random_range(chance)
            verify(td, model, start, end)
            sept = td.good("sept")
            assert sept["agree"] is True
    verify(td, model, 0, PAGES)
    td.good(f"probe convert 0 {PAGES * PAGE:#x} private")
