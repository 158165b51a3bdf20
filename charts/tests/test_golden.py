"""What the presets render is what was looked at last. `python charts/tests/golden/write.py` renews it."""

import difflib

import pytest

from golden.write import FOLDER, shown
from rendered import LOOKED_AT


@pytest.mark.parametrize("name", LOOKED_AT)
def test_a_preset_renders_what_it_rendered_before(name: str) -> None:
    before, now = (FOLDER / f"{name}.yaml").read_text(), shown(name)
    changes = difflib.unified_diff(before.splitlines(), now.splitlines(), "looked at", "rendered", lineterm="", n=4)
    assert before == now, "\n".join(list(changes)[:80]) + "\nRenew with: python charts/tests/golden/write.py"
