"""Which adapter keeps which promise, and which parts make a process; no other package knows."""

from outcry.adapters.sqlite import InUse as InUse
from outcry.wiring.at_rest import administer as administer
from outcry.wiring.at_rest import replay as replay
from outcry.wiring.at_rest import verify as verify
from outcry.wiring.embedded import serve as serve
