"""The life of the builder's cache: what is in it, deleting what was not used for long, finding what is damaged."""

from poncho.upkeep.inventory import BUCKETS, Bucket, Item, inventory
from poncho.upkeep.prune import Pruned, prune
from poncho.upkeep.verify import Damaged, Verified, verify

__all__ = ["BUCKETS", "Bucket", "Damaged", "Item", "Pruned", "Verified", "inventory", "prune", "verify"]
