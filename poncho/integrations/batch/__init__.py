"""Job files for batch systems: written, explained and never submitted. Nothing here schedules anything."""

from poncho.integrations.batch.model import INDEX, Job, Resources
from poncho.integrations.batch.write import SYSTEMS, Written, write_job

__all__ = ["INDEX", "SYSTEMS", "Job", "Resources", "Written", "write_job"]
