"""Packs the commands of one micro-batch into frames, one stretch of frames per partition, in their order."""

from collections.abc import Sequence
from dataclasses import dataclass

from outcry.codec import MAX_COMMANDS, MAX_FRAME_BYTES, encode_frame
from outcry.market.commands import AnyCommand, CancelAll, PlaceList, PlaceOrder, ReplaceOrder
from outcry.roles.api.journeys import trace_of
from outcry.roles.api.tickets import Ticket
from outcry.telemetry.traces import Trace, Tracer

# Upper bounds of an encoded command: every whole number at its longest, client ids of 36 characters.
MAX_PLACE_BYTES = 280
MAX_LIST_BYTES = 620
MAX_REPLACE_BYTES = 420
MAX_TARGET_BYTES = 20
HEADER_BYTES = 600  # header, reply address and traceparent


@dataclass(frozen=True, slots=True)
class Parcel:
    """One frame and the tickets whose commands are in it."""

    part: int
    frame: bytes
    tickets: list[Ticket]
    trace: Trace | None = None  # of one of them


def pack(tickets: Sequence[Ticket], reply_to: str, tracer: Tracer | None = None) -> list[Parcel]:
    """Frames in which the commands of each partition keep their order."""
    stacks: dict[int, list[Ticket]] = {}
    for ticket in tickets:
        stacks.setdefault(ticket.intent.instrument.partition, []).append(ticket)
    return [_parcel(part, load, reply_to, tracer) for part, stack in stacks.items() for load in _loads(stack)]


def _loads(stack: Sequence[Ticket]) -> list[list[Ticket]]:
    loads: list[list[Ticket]] = [[]]
    left = MAX_FRAME_BYTES - HEADER_BYTES
    for ticket in stack:
        assert ticket.command is not None
        size = _most_bytes(ticket.command)
        if loads[-1] and (size > left or len(loads[-1]) == MAX_COMMANDS):
            loads.append([])
            left = MAX_FRAME_BYTES - HEADER_BYTES
        loads[-1].append(ticket)
        left -= size
    return loads


def _most_bytes(command: AnyCommand) -> int:
    if isinstance(command, PlaceOrder):
        return MAX_PLACE_BYTES
    if isinstance(command, CancelAll):
        return MAX_PLACE_BYTES + MAX_TARGET_BYTES * len(command.targets)
    if isinstance(command, PlaceList):
        return MAX_LIST_BYTES
    return MAX_REPLACE_BYTES if isinstance(command, ReplaceOrder) else MAX_PLACE_BYTES


def _parcel(part: int, load: list[Ticket], reply_to: str, tracer: Tracer | None) -> Parcel:
    """A frame has room for one trace: one that is written, else that of the first command that has any."""
    trace = None if tracer is None else trace_of(load, tracer)
    if trace is not None:
        traceparent = trace.traceparent
    else:
        traceparent = next((t.request.traceparent for t in load if t.request.traceparent), "")
    commands = [ticket.command for ticket in load if ticket.command is not None]
    frame = encode_frame(commands, reply_to=reply_to, traceparent=traceparent, correlation_id=load[0].command_id)
    return Parcel(part, frame, load, trace)
