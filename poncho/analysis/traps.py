"""Imports whose distribution has another name, for PyPI and for conda-forge.

The table is short and made by hand: each row was looked up. ``-`` stands for "there is none".
"""

from __future__ import annotations

# import → PyPI → conda-forge. A dotted import is for namespaces; the longest match counts.
_ROWS = """
_pytest                 pytest                      pytest
attr                    attrs                       attrs
Bio                     biopython                   biopython
bs4                     beautifulsoup4              beautifulsoup4
build                   build                       python-build
cairo                   pycairo                     pycairo
clang                   libclang                    python-clang
classad                 htcondor                    python-htcondor
community               python-louvain              python-louvain
Crypto                  pycryptodome                pycryptodome
Cryptodome              pycryptodomex               pycryptodomex
cupy                    cupy                        cupy
cv2                     opencv-python               py-opencv
dask                    dask                        dask-core
dateutil                python-dateutil             python-dateutil
decouple                python-decouple             python-decouple
distutils               setuptools                  setuptools
docker                  docker                      docker-py
docx                    python-docx                 python-docx
dotenv                  python-dotenv               python-dotenv
faiss                   faiss-cpu                   faiss-cpu
fitz                    pymupdf                     pymupdf
fsspec_xrootd           fsspec-xrootd               fsspec-xrootd
gi                      pygobject                   pygobject
git                     gitpython                   gitpython
github                  pygithub                    pygithub
google.cloud.bigquery   google-cloud-bigquery       google-cloud-bigquery
google.cloud.storage    google-cloud-storage        google-cloud-storage
google.protobuf         protobuf                    protobuf
googleapiclient         google-api-python-client    google-api-python-client
graphviz                graphviz                    python-graphviz
hist                    hist                        hist-base
htcondor                htcondor                    python-htcondor
igraph                  igraph                      python-igraph
installer               installer                   python-installer
jose                    python-jose                 python-jose
jupyter_client          jupyter-client              jupyter_client
jwt                     pyjwt                       pyjwt
kafka                   kafka-python                kafka-python
ldap                    python-ldap                 python-ldap
Levenshtein             levenshtein                 levenshtein
lhapdf                  -                           lhapdf
magic                   python-magic                python-magic
matplotlib              matplotlib                  matplotlib-base
mpl_toolkits            matplotlib                  matplotlib-base
mpl_toolkits.basemap    basemap                     basemap
msgpack                 msgpack                     msgpack-python
MySQLdb                 mysqlclient                 mysqlclient
nacl                    pynacl                      pynacl
ndcctools               -                           ndcctools
netCDF4                 netcdf4                     netcdf4
OpenGL                  pyopengl                    pyopengl
OpenSSL                 pyopenssl                   pyopenssl
osgeo                   gdal                        gdal
past                    future                      future
PIL                     pillow                      pillow
pkg_resources           setuptools<82               setuptools<82
pptx                    python-pptx                 python-pptx
psycopg2                psycopg2-binary             psycopg2
pylab                   matplotlib                  matplotlib-base
pythia8                 -                           pythia8
pythoncom               pywin32                     pywin32
pywintypes              pywin32                     pywin32
pywt                    pywavelets                  pywavelets
rest_framework          djangorestframework         djangorestframework
ROOT                    -                           root
ruamel.yaml             ruamel-yaml                 ruamel.yaml
rucio                   rucio-clients               rucio-clients
serial                  pyserial                    pyserial
skimage                 scikit-image                scikit-image
sklearn                 scikit-learn                scikit-learn
slugify                 python-slugify              python-slugify
socks                   pysocks                     pysocks
tables                  tables                      pytables
taskvine                -                           ndcctools
telegram                python-telegram-bot         python-telegram-bot
tlz                     toolz                       toolz
tomllib                 tomli                       tomli
torch                   torch                       pytorch
typing_extensions       typing-extensions           typing_extensions
umap                    umap-learn                  umap-learn
uproot                  uproot                      uproot-base
usb                     pyusb                       pyusb
websocket               websocket-client            websocket-client
win32api                pywin32                     pywin32
win32com                pywin32                     pywin32
win32con                pywin32                     pywin32
work_queue              -                           ndcctools
Xlib                    python-xlib                 python-xlib
XRootD                  xrootd                      xrootd
xxhash                  xxhash                      python-xxhash
yaml                    pyyaml                      pyyaml
zmq                     pyzmq                       pyzmq
"""

TRAPS: dict[str, tuple[str | None, str | None]] = {}
for _row in _ROWS.split("\n"):
    if _row:
        _name, _pypi, _conda = _row.split()
        TRAPS[_name] = (None if _pypi == "-" else _pypi, None if _conda == "-" else _conda)

# Standard modules that went away, or came, and what stands in for them: import → (first version that lacks it, PyPI)
# and import → (first version that has it, PyPI).
REMOVED: dict[str, tuple[tuple[int, int], str]] = {
    "asynchat": ((3, 12), "standard-asynchat"),
    "asyncore": ((3, 12), "standard-asyncore"),
    "cgi": ((3, 13), "legacy-cgi"),
    "cgitb": ((3, 13), "legacy-cgi"),
    "distutils": ((3, 12), "setuptools"),
    "imghdr": ((3, 13), "standard-imghdr"),
    "pipes": ((3, 13), "standard-pipes"),
    "telnetlib": ((3, 13), "standard-telnetlib"),
}
BACKPORTS: dict[str, tuple[tuple[int, int], str]] = {
    "dataclasses": ((3, 7), "dataclasses"),
    "tomllib": ((3, 11), "tomli"),
    "zoneinfo": ((3, 9), "backports-zoneinfo"),
}

# What a string or a call suggests, though nothing imports it: only taken when it is installed.
SCHEMES: dict[str, str] = {
    "root://": "fsspec_xrootd",
    "s3://": "s3fs",
    "gs://": "gcsfs",
    "gcs://": "gcsfs",
    "abfs://": "adlfs",
}
CALLS: dict[str, str] = {
    "read_excel": "openpyxl",
    "to_excel": "openpyxl",
    "read_parquet": "pyarrow",
    "to_parquet": "pyarrow",
    "read_feather": "pyarrow",
    "to_feather": "pyarrow",
    "read_hdf": "tables",
    "to_hdf": "tables",
    "read_html": "lxml",
    "to_markdown": "tabulate",
    "to_netcdf": "netCDF4",
}
