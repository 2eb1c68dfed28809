# /// script
# requires-python = ">=3.10"
# dependencies = ["humanize>=4"]
# ///
"""A script that says what it needs (PEP 723) is a spec too."""

import humanize

print(humanize.naturalsize(10**9))
