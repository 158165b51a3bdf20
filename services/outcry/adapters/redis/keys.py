"""The names of all that stands in Redis, behind the prefix that lets exchanges share one."""


class Keys:
    """Names of one exchange. Channels and keys are apart, so they may look alike."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.market = f"{prefix}market"  # channel of all market messages
        self.spans = f"{prefix}spans"  # channel on which engines say what a batch did, behind its private events
        self.transfers = f"{prefix}transfers"  # channel on which apis say whose money they moved in or out
        self.follow = f"{prefix}follow"  # channel on which pods say which accounts they follow
        self.followed = f"{prefix}followed"  # accounts by when they cease to be followed
        self.born = f"{prefix}born"  # since when this Redis remembers

    def reply(self, pod: str) -> str:
        """The channel of answers to one process."""
        return f"{self._prefix}reply:{pod}"

    def account(self, account_id: int) -> str:
        """The channel of one account's events."""
        return f"{self._prefix}account:{account_id}"

    def symbol(self, symbol_id: int) -> tuple[str, str, str, str, str, str]:
        """State, bids, bid lots, asks, ask lots, stream of one symbol."""
        stem = f"{self._prefix}symbol:{symbol_id}:"
        return stem + "state", stem + "bids", stem + "bid-lots", stem + "asks", stem + "ask-lots", stem + "stream"

    def shared(self, key: str) -> str:
        """A value of the port Shared."""
        return f"{self._prefix}shared:{key}"
