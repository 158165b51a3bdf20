"""Commands and states as bytes; the only module that knows the wire format of the journal."""
