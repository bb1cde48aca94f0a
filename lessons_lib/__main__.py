"""`python -m lessons_lib` checks whether this machine can run the course."""

import sys

from lessons_lib import environment

sys.exit(environment.main())
