"""Parts: distributions that always come along with another one, whose own code is in them.

``import pydantic_core`` beside ``import pydantic`` asks for nothing that pydantic does not bring, in the version that it
needs. Where neither is installed, naming the part too only lets it drift: programs that declare their requirements
leave such parts out four times of five (measured on the tuning half of the accuracy benchmark).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# part: what brings it (a pattern for the whole name).
_ROWS = r"""
aiosignal               aiohttp
annotated-types         pydantic
asgiref                 django
azure-core              azure-(?!core).+
certifi                 requests|httpx
charset-normalizer      requests
contourpy               matplotlib(-base)?
cycler                  matplotlib(-base)?
defusedxml              nbconvert
frozenlist              aiohttp
google-api-core         google-cloud-(?!core).+
google-auth             google-cloud-.+|google-api-python-client|gcsfs
greenlet                gevent|playwright
h11                     httpx|httpcore|uvicorn
httpcore                httpx
idna                    requests|httpx
itsdangerous            flask
jaxlib                  jax
jmespath                boto3|botocore
jupyter-core            jupyter-(server|client)|nbformat|nbconvert|notebook|jupyterlab
kiwisolver              matplotlib(-base)?
llvmlite                numba
mistune                 nbconvert
mpmath                  sympy
multidict               aiohttp
outcome                 trio
pluggy                  pytest
propcache               aiohttp
ptyprocess              pexpect
pyasn1                  pyasn1-modules|rsa|oauth2client
pydantic-core           pydantic
qtpy                    napari|magicgui|superqt
rpds-py                 jsonschema|referencing
referencing             jsonschema
sniffio                 trio|anyio|httpx
soupsieve               beautifulsoup4
starlette               fastapi
superqt                 napari|magicgui
tornado                 jupyter-(server|client)|notebook|jupyterlab|ipykernel|distributed
traitlets               ipython|ipykernel|ipywidgets|jupyter-(core|client|server)|nbformat|nbconvert|notebook|jupyterlab
typing-inspection       pydantic
werkzeug                flask
"""
_BRINGS = {part: re.compile(whole) for part, whole in (row.split(maxsplit=1) for row in _ROWS.strip().splitlines())}


def brought_by(name: str, others: Iterable[str]) -> tuple[str, ...]:
    """Return which of ``others`` bring the distribution ``name`` along (all names normalised), sorted."""
    pattern = _BRINGS.get(name)
    return tuple(sorted(other for other in others if pattern.fullmatch(other))) if pattern else ()
