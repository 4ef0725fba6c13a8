"""``python -m tablesnap`` is the command ``tablesnap``."""

import sys

from tablesnap.cli.tablesnap import main

sys.exit(main())
