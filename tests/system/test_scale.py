"""What an operation costs does not depend on the size of the TD: small sizes here, up to 4 TiB in `make scale`."""
import json
import subprocess

import pytest

from conftest import BUILD

OPERATIONS = ("fault_4k", "fault_4k_elsewhere", "fault_2m", "convert_8", "back_8", "merge_1", "look")
TABLE_BYTES = 3 * 4096  # a table of the mirror, two pages, and its S-EPT page
LIMIT_S = 300


def test_costs_are_flat_and_memory_is_linear():
    done = subprocess.run([str(BUILD / "bench" / "scale"), "sizes", "16"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, timeout=LIMIT_S, text=True)
    if "PTRACE_TRACEME" in done.stderr:
        pytest.skip("this system lets no process be stepped through")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["td_gib"] for row in rows] == [1, 4, 16]
    for name in OPERATIONS:
        counts = [row[name] for row in rows]
        assert 100 < min(counts) and max(counts) < 1.1 * min(counts), (name, counts)
    # One table a GiB at 2M, 512 more at 4K; what does not grow with the TD is a few pages.
    last = rows[-1]
    assert TABLE_BYTES <= last["tables_2m_bytes"] < 1.1 * TABLE_BYTES
    assert 512 * TABLE_BYTES <= last["tables_4k_bytes"] < 1.05 * 512 * TABLE_BYTES
    assert last["slot_bytes"] < 54000  # the merge policy's queue among them
