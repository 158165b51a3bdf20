"""Kubernetes quantities as whole numbers: CPU in thousandths of a core, memory in bytes.

Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import math
from decimal import Decimal, InvalidOperation
from typing import Final

_FACTORS: Final = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    **{unit: Decimal(1000**power) for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(1024**power) for power, unit in enumerate("KMGTPE", 1)},
}  # fmt: skip


def quantity(text: str) -> Decimal:
    """The number of a quantity such as 250m, 1.5Gi or 1e3. Raises ValueError."""
    for cut in (2, 1, 0):
        digits, unit = (text[:-cut], text[-cut:]) if cut else (text, "")
        if unit in _FACTORS and digits[-1:].isdigit() | digits.endswith("."):
            try:
                return Decimal(digits) * _FACTORS[unit]
            except InvalidOperation:
                break
    raise ValueError(f"{text!r} is no quantity")


def milli_cores(text: str) -> int:
    """CPU in thousandths of a core, rounded up as the API server does. Raises ValueError."""
    return math.ceil(quantity(text) * 1000)


def whole_bytes(text: str) -> int:
    """Memory in bytes. Raises ValueError."""
    return math.ceil(quantity(text))
