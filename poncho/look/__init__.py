"""Look into packages: an inventory and a page that shows it, a comparison of two, a bill of materials."""

from poncho.look.inventory import Inventory, Part, look
from poncho.look.source import open_source

__all__ = ["Inventory", "Part", "look", "open_source"]
