"""Imports whose distribution has another name, for PyPI and for conda-forge.

The table is short and made by hand: each row was looked up. ``-`` stands for "there is none".
"""

from __future__ import annotations

import re

# import → PyPI → conda-forge. A dotted import is for namespaces; the longest match counts.
_ROWS = """
_cffi_backend           cffi                        cffi
_pytest                 pytest                      pytest
_yaml                   pyyaml                      pyyaml
absl                    absl-py                     absl-py
AppKit                  pyobjc-framework-cocoa      pyobjc-framework-cocoa
attr                    attrs                       attrs
avro                    avro                        avro
Bio                     biopython                   biopython
brotli                  brotli                      brotli-python
bs4                     beautifulsoup4              beautifulsoup4
bson                    pymongo                     pymongo
build                   build                       python-build
cairo                   pycairo                     pycairo
clang                   libclang                    python-clang
classad                 htcondor                    python-htcondor
community               python-louvain              python-louvain
conda                   -                           conda
conda_build             -                           conda-build
conda_env               -                           conda
Crypto                  pycryptodome                pycryptodome
Cryptodome              pycryptodomex               pycryptodomex
cupy                    cupy                        cupy
cv2                     opencv-python               py-opencv
Cython                  cython                      cython
dask                    dask                        dask-core
dateutil                python-dateutil             python-dateutil
decouple                python-decouple             python-decouple
discord                 discord-py                  discord.py
distutils               setuptools                  setuptools
dns                     dnspython                   dnspython
docker                  docker                      docker-py
docx                    python-docx                 python-docx
dotenv                  python-dotenv               python-dotenv
ESMF                    -                           esmpy
esmpy                   -                           esmpy
faiss                   faiss-cpu                   faiss-cpu
ffmpeg                  ffmpeg-python               ffmpeg-python
fitz                    pymupdf                     pymupdf
Foundation              pyobjc-framework-cocoa      pyobjc-framework-cocoa
FreeCAD                 -                           freecad
fsspec_xrootd           fsspec-xrootd               fsspec-xrootd
gi                      pygobject                   pygobject
git                     gitpython                   gitpython
github                  pygithub                    pygithub
google.api              googleapis-common-protos    googleapis-common-protos
google.auth             google-auth                 google-auth
google.cloud.bigquery   google-cloud-bigquery       google-cloud-bigquery
google.cloud.exceptions google-cloud-core           google-cloud-core
google.cloud.secretmanager google-cloud-secret-manager google-cloud-secret-manager
google.cloud.storage    google-cloud-storage        google-cloud-storage
google.longrunning      googleapis-common-protos    googleapis-common-protos
google.oauth2           google-auth                 google-auth
google.protobuf         protobuf                    protobuf
google.rpc              googleapis-common-protos    googleapis-common-protos
google.type             googleapis-common-protos    googleapis-common-protos
googleapiclient         google-api-python-client    google-api-python-client
graph_tool              -                           graph-tool
graphviz                graphviz                    python-graphviz
gridfs                  pymongo                     pymongo
grpc                    grpcio                      grpcio
grpc_tools              grpcio-tools                grpcio-tools
haystack                haystack-ai                 haystack-ai
hist                    hist                        hist-base
htcondor                htcondor                    python-htcondor
hydra                   hydra-core                  hydra-core
igraph                  igraph                      python-igraph
installer               installer                   python-installer
jks                     pyjks                       pyjks
jose                    python-jose                 python-jose
JupyROOT                -                           root
jupyter_client          jupyter-client              jupyter_client
jwt                     pyjwt                       pyjwt
keras                   keras                       keras
kafka                   kafka-python                kafka-python
ldap                    python-ldap                 python-ldap
Levenshtein             levenshtein                 levenshtein
lhapdf                  -                           lhapdf
libmambapy              -                           libmambapy
llama_index.core        llama-index-core            llama-index-core
magic                   python-magic                python-magic
matplotlib              matplotlib                  matplotlib-base
meep                    -                           pymeep
mpl_toolkits            matplotlib                  matplotlib-base
mpl_toolkits.basemap    basemap                     basemap
msgpack                 msgpack                     msgpack-python
multipart               python-multipart            python-multipart
MySQLdb                 mysqlclient                 mysqlclient
nacl                    pynacl                      pynacl
ndcctools               -                           ndcctools
netCDF4                 netcdf4                     netcdf4
objc                    pyobjc-core                 pyobjc-core
OCC                     -                           pythonocc-core
OpenGL                  pyopengl                    pyopengl
OpenSSL                 pyopenssl                   pyopenssl
opentelemetry           opentelemetry-api           opentelemetry-api
opentelemetry.instrumentation opentelemetry-instrumentation opentelemetry-instrumentation
opentelemetry.sdk       opentelemetry-sdk           opentelemetry-sdk
opentelemetry.semconv   opentelemetry-semantic-conventions opentelemetry-semantic-conventions
osgeo                   gdal                        gdal
past                    future                      future
PIL                     pillow                      pillow
pkg_resources           setuptools<82               setuptools<82
poetry.core             poetry-core                 poetry-core
pptx                    python-pptx                 python-pptx
progressbar             progressbar2                progressbar2
psi4                    -                           psi4
psycopg2                psycopg2-binary             psycopg2
pycrdt.store            pycrdt-store                pycrdt-store
pycrdt.websocket        pycrdt-websocket            pycrdt-websocket
pdoc                    pdoc                        pdoc
pylab                   matplotlib                  matplotlib-base
pynvml                  nvidia-ml-py                nvidia-ml-py
PyObjCTools             pyobjc-core                 pyobjc-core
pythia8                 -                           pythia8
pythoncom               pywin32                     pywin32
pywintypes              pywin32                     pywin32
pywt                    pywavelets                  pywavelets
Quartz                  pyobjc-framework-quartz     pyobjc-framework-quartz
rdflib                  rdflib                      rdflib
resource_monitor        -                           ndcctools
rest_framework          djangorestframework         djangorestframework
ROOT                    -                           root
ruamel.yaml             ruamel-yaml                 ruamel.yaml
rucio                   rucio-clients               rucio-clients
serial                  pyserial                    pyserial
shapefile               pyshp                       pyshp
skimage                 scikit-image                scikit-image
sklearn                 scikit-learn                scikit-learn
sksparse                scikit-sparse               scikit-sparse
slugify                 python-slugify              python-slugify
snowflake.connector     snowflake-connector-python  snowflake-connector-python
snowflake.snowpark      snowflake-snowpark-python   snowflake-snowpark-python
socks                   pysocks                     pysocks
speech_recognition      speechrecognition           speechrecognition
tables                  tables                      pytables
taskvine                -                           ndcctools
telegram                python-telegram-bot         python-telegram-bot
tlz                     toolz                       toolz
tomllib                 tomli                       tomli
torch                   torch                       pytorch
tree                    dm-tree                     dm-tree
typing_extensions       typing-extensions           typing_extensions
umap                    umap-learn                  umap-learn
uproot                  uproot                      uproot-base
usb                     pyusb                       pyusb
vtkmodules              vtk                         vtk
websocket               websocket-client            websocket-client
win32api                pywin32                     pywin32
win32com                pywin32                     pywin32
win32con                pywin32                     pywin32
work_queue              -                           ndcctools
wx                      wxpython                    wxpython
xdg                     pyxdg                       pyxdg
xdg.xdg_cache_home      xdg                         xdg
xdg.xdg_config_home     xdg                         xdg
xdg.xdg_data_home       xdg                         xdg
xdg.xdg_state_home      xdg                         xdg
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
    "compression.zstd": ((3, 14), "backports-zstd"),
    "dataclasses": ((3, 7), "dataclasses"),
    "graphlib": ((3, 9), "graphlib-backport"),
    "importlib.metadata": ((3, 8), "importlib-metadata"),
    "importlib.resources": ((3, 7), "importlib-resources"),
    "tomllib": ((3, 11), "tomli"),
    "zoneinfo": ((3, 9), "backports-zoneinfo"),
}
# Only for other systems than Linux: not taken for code that runs there only.
FOREIGN = re.compile(
    r"pywin32(?:-ctypes)?|pyobjc(?:-.*)?|wmi|comtypes|pywinpty|pywinauto|windows-curses|winrt-.*|appnope"
)
# Tools that work on code: what imports them conditionally is a plugin or a helper for tests and builds.
DEVELOPMENT = re.compile(
    r"pytest(?:-.*)?|hypothesis|nox|tox|coverage|mypy|ruff|hatchling|hatch(?:-.*)?|flit-core|poetry-core|pdm-backend"
    r"|setuptools-scm|versioneer|zest-releaser|twine|bumpversion"
)

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
