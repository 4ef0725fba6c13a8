"""``python -m tablesnap`` is the command ``tablesnap``."""

import sys

from tablesnap.cli.tablesnap.main import main

sys.exit(main())
