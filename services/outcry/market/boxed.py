"""Whole numbers that the market only hands on: ids, as keys and in events.

The compiled core keeps an ``int`` as a machine word and makes a Python object of it anew wherever it leaves. What is
declared ``Boxed`` stays the object that came with the command. To the type checker it is an ``int``, at run time it is
one; this module is never compiled, which is what makes the name stand for an object.
"""


class Boxed(int):
    """An ``int`` to hand on, not to reckon with."""
