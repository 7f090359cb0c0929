"""What a 4K fault costs the VMM outside SEAMCALL: instructions in a host process, which repeat exactly for one compiler."""
import shutil
import sys

import pytest

from conftest import BUILD, ROOT

sys.path.insert(0, str(ROOT / "tests" / "bench"))
import operations  # noqa: E402  (its folder is no package)

INSTRUCTIONS_MAX = 499


@pytest.mark.skipif(not shutil.which("valgrind"), reason="no valgrind to count instructions with (tools/deps test)")
def test_a_4k_fault_takes_less_than_500_instructions():
    counted = operations.instructions(BUILD / "bench" / "ops", "fault_4k")
    assert {key: 0 < count <= INSTRUCTIONS_MAX for key, count in counted.items()} == {
        ("fault_4k", 1): True, ("fault_4k", 4): True}, counted
