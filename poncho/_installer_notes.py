"""The names of the notes that an installer leaves for itself; here, because to pack an environment is not to install one."""

from __future__ import annotations

# uv writes down when the file that it installed from was last changed, to know a cache entry that is out of date.
NOTES = frozenset({"uv_cache.json", "uv_build.json"})
