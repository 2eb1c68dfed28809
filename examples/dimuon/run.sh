#!/bin/sh
# The whole way, on this machine alone: analyse a real program, pack it with the data it needs, and run it from the package in a place and
# with an environment that prove that it needs nothing else.
#
#   sh examples/dimuon/run.sh [WORK]      WORK: a directory to work in (default: examples/dimuon/work, made new)
#
# Needs: Python >= 3.10 with venv, git, and the Python package index. No conda.
# shellcheck disable=SC2086,SC2016  # $servers is words; the variables belong to the inner shell
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${1:-$here/work}
python=${PYTHON:-python3}

say() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
fail() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 1; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
    fail "$python is missing or older than 3.10" "install Python >= 3.10, or name one: PYTHON=python3.12 sh $0"
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "$python has no venv module" "on Debian: apt-get install python3-venv"
command -v git >/dev/null || fail "git is missing" "on Debian: apt-get install git"

rm -rf "$work"
mkdir -p "$work/served" "$work/repositories"
work=$(cd "$work" && pwd)
servers=
trap 'kill $servers 2>/dev/null || true' EXIT INT TERM

say "1. PONCHO in a virtual environment of its own"
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "$root"
PATH=$work/venv/bin:$PATH
poncho --version

say "2. The data's home: an http server with the events, a git server with the calibration"
cp "$here/data/events.csv.gz" "$work/served/"
cp -R "$here/calibration" "$work/checkout"
git -C "$work/checkout" init --quiet --initial-branch main
git -C "$work/checkout" add .
git -C "$work/checkout" -c user.name=calibration -c user.email=calibration@example.org commit --quiet -m "Muon momentum scale"
git -C "$work/checkout" tag v1.0
git clone --quiet --bare "$work/checkout" "$work/repositories/calibration.git"
ports=$("$python" -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*[s.getsockname()[1] for s in held])')
http=${ports% *} git=${ports#* }
"$python" -m http.server --bind 127.0.0.1 --directory "$work/served" "$http" >"$work/http.log" 2>&1 &
servers=$!
git daemon --export-all --listen=127.0.0.1 --port="$git" --base-path="$work/repositories" --reuseaddr >"$work/git.log" 2>&1 &
servers="$servers $!"

say "3. poncho_package_analyze: what does the program import?"
cp "$here/analysis.py" "$work/"
cd "$work"
poncho_package_analyze analysis.py spec.json
cat spec.json

say "4. The data it reads, added to the spec (by hand, a person would write these lines)"
"$python" - "$http" "$git" <<'PYTHON'
import json, sys

http, git = sys.argv[1:]
with open("spec.json") as stream:
    spec = json.load(stream)
spec["http"] = {"EVENTS": {"url": f"http://127.0.0.1:{http}/events.csv.gz", "compression": "gzip", "filename": "events.csv"}}
spec["git"] = {"CALIBRATION": {"remote": f"git://127.0.0.1:{git}/calibration.git", "ref": "v1.0"}}
with open("spec.json", "w") as stream:
    json.dump(spec, stream, indent=4, sort_keys=True)
PYTHON
sed -n '/"git"/,$p' spec.json

say "5. poncho_package_create: everything into one file"
PONCHO_CACHE_DIR=${PONCHO_CACHE_DIR:-$work/cache} poncho_package_create -v spec.json env.tar.gz
ls -lh env.tar.gz

say "6. Another machine, nearly: servers stopped, build tree gone, empty environment, no Python on PATH"
kill $servers 2>/dev/null || true
mkdir node node/home node/bin
mv env.tar.gz analysis.py node/
cp "$work/venv/bin/poncho_package_run" node/
rm -rf "$work/venv" "$work/cache" "$work/served" "$work/repositories" "$work/checkout" spec.json
cd node
# Only these: a shell, tar, gzip and the core utilities. No Python, no compiler, no git.
for tool in sh tar gzip find sed grep getconf ldd flock awk \
    [ basename cat chmod cp cut date dd df dirname du env expr head id ln ls mkdir mktemp mv nproc od printf pwd \
    readlink realpath rm rmdir sleep sort stat sync tail tee test touch tr true uname uniq wc; do
    for place in /usr/bin /bin; do
        [ -x "$place/$tool" ] && [ ! -e "bin/$tool" ] && ln -s "$place/$tool" "bin/$tool"
    done
done
[ ! -e bin/python3 ]
env -i HOME="$PWD/home" PATH="$PWD/bin" PONCHO_STORE="$PWD/store" ./poncho_package_run -e env.tar.gz -- python analysis.py --plot "$PWD/dimuon.png"

say "7. Again: the environment is there already"
env -i HOME="$PWD/home" PATH="$PWD/bin" PONCHO_STORE="$PWD/store" ./poncho_package_run -d -e env.tar.gz -- \
    sh -c 'echo "EVENTS=$EVENTS"; echo "CALIBRATION=$CALIBRATION"; command -v python'

cp dimuon.png "$work/dimuon.png"
say "Done. The plot: $work/dimuon.png    The package: $work/node/env.tar.gz"
