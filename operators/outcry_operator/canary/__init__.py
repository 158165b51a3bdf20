"""A new revision on a growing part of the traffic: judged all the time, taken back when it is worse."""
