"""What an application wants: the spec's model, its dialects, its digest."""

from poncho.spec.codec import document, dumps, parse, parse_text
from poncho.spec.digest import spec_digest
from poncho.spec.foreign import included_files
from poncho.spec.load import as_spec, decode, load_spec, loads_spec
from poncho.spec.model import GitSource, HttpSource, Spec
from poncho.spec.names import check_variable
from poncho.spec.portable import portable, portable_requirement

__all__ = [
    "GitSource",
    "HttpSource",
    "Spec",
    "as_spec",
    "check_variable",
    "decode",
    "document",
    "dumps",
    "included_files",
    "load_spec",
    "loads_spec",
    "parse",
    "parse_text",
    "portable",
    "portable_requirement",
    "spec_digest",
]
