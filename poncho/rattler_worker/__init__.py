"""The process in which py-rattler runs. Nothing of it is imported by the rest of PONCHO: see ``__main__``."""
