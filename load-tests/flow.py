"""One order flow for every contender: a deep book, then quotes, cancels and takers around its middle."""

import random

RESTING = 30_000
MESSAGES = 60_000
MIDDLE = 50_000
HALF_DEPTH = 3_000  # ticks on each side over which the resting orders are spread
ADD, CANCEL = 0, 1


# (kind, order id, side, price, qty): ADD places a limit order, which trades if it crosses (side 1 buys, -1 sells);
# CANCEL takes the order out. A plain tuple, so that unpacking it, which every contender does, costs next to nothing.
Message = tuple[int, int, int, int, int]


def deep_book(dice: random.Random) -> list[Message]:
    """Resting orders that do not cross, half of them on each side."""
    book = []
    for order_id in range(1, RESTING + 1):
        side = 1 if order_id % 2 else -1
        book.append((ADD, order_id, side, MIDDLE - side * dice.randint(1, HALF_DEPTH), dice.randint(1, 50)))
    return book


def live_messages(dice: random.Random) -> list[Message]:
    """45 % quotes, 45 % cancels of orders that may have traded since, 10 % takers; the depth stays as it is."""
    messages, live, next_id = [], list(range(1, RESTING + 1)), RESTING + 1
    for _ in range(MESSAGES):
        chance = dice.random()
        side = dice.choice((1, -1))
        if chance < 0.45:
            place = dice.randrange(len(live))
            live[place], live[-1] = live[-1], live[place]
            messages.append((CANCEL, live.pop(), 0, 0, 0))
            continue
        distance = -dice.randint(1, 20) if chance > 0.9 else dice.randint(1, HALF_DEPTH)
        messages.append((ADD, next_id, side, MIDDLE - side * distance, dice.randint(1, 50)))
        live.append(next_id)
        next_id += 1
    return messages


def flow(seed: int) -> tuple[list[Message], list[Message]]:
    """The book to begin with and the messages to measure; the same for the same seed."""
    dice = random.Random(seed)
    return deep_book(dice), live_messages(dice)
