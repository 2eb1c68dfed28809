"""Parsl: executors whose workers run inside a package, and apps that name a package of their own.

``in_package`` takes an executor that has not started yet; ``PackagedApps`` gives each app the package that it asks for. What
Parsl's own options can do is done by them; nothing of Parsl is replaced. See docs/engines.md.
"""

try:
    import parsl as _parsl  # noqa: F401  (a clear line now, instead of a long traceback later)
except ImportError as error:
    raise ImportError("Parsl is not installed: pip install 'parsl>=2024.1'") from error

from poncho.integrations.parsl.apps import PackagedApps
from poncho.integrations.parsl.executors import in_package

__all__ = ["PackagedApps", "in_package"]
