"""`outcry match`: recorded commands in, the matching core's events out, without a server."""

from outcry.roles.match.command import main

__all__ = ["main"]
