"""Dask: workers inside a package, in new clusters and in running ones; versions that differ, said with what to do.

See docs/engines.md. ``python_command`` is for clusters that start workers by a Python command (SSHCluster, dask-jobqueue),
``PackagedCluster`` is a LocalCluster whose workers are in a package, ``use_package`` brings a package to a running cluster,
``check_versions`` compares client, scheduler and workers.
"""

try:
    import distributed as _distributed  # noqa: F401  (a clear line now, instead of a long traceback later)
except ImportError as error:
    raise ImportError("Dask's distributed is not installed: pip install 'dask[distributed]>=2024.4'") from error

from poncho.integrations.dask.cluster import PackagedCluster
from poncho.integrations.dask.command import python_command, worker_command
from poncho.integrations.dask.running import use_package
from poncho.integrations.dask.versions import Difference, check_versions, version_differences

__all__ = [
    "Difference",
    "PackagedCluster",
    "check_versions",
    "python_command",
    "use_package",
    "version_differences",
    "worker_command",
]
