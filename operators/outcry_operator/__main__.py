"""``python -m outcry_operator`` is the command ``outcry-operator``."""

import sys

from outcry_operator.cli import main

sys.exit(main())
