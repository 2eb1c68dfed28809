"""``python -m poncho``: the command ``poncho``, where its directory is not on PATH."""

from __future__ import annotations

import sys

from poncho.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
