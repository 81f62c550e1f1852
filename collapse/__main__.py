"""`python -m collapse` is the `collapse` command."""

import sys

from collapse.cli import main

sys.exit(main())
