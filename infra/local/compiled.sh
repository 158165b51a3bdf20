#!/bin/sh
# Builds the project with its matching core compiled by mypyc into an environment of its own: compiled.sh DIRECTORY
set -eu
directory=$1
root=$(CDPATH= cd -- "$(dirname -- "$0")/../.." && pwd)
sources=$(cat "$root"/services/outcry/market/*.py "$root/setup.py" | cksum)

is_built() {
    [ -f "$directory/.compiled" ] && [ "$(cat "$directory/.compiled")" = "$sources" ]
}

can_compile() {
    command -v gcc >/dev/null 2>&1 && "$root/.venv/bin/python" -c \
        'import sysconfig, pathlib, sys; sys.exit(not (pathlib.Path(sysconfig.get_path("include")) / "Python.h").exists())'
}

if ! is_built && ! can_compile; then
    version=$("$root/.venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    sh "$root/infra/local/apt.sh" "A C compiler and the headers of Python $version are needed to compile the matching core." \
        gcc libc6-dev "python$version-dev"
fi
sh "$root/infra/local/venv.sh" "$directory" test
if is_built; then
    cp -r "$root/services/outcry" "$directory/outcry-compiled/"  # the rest may have changed
    exit 0
fi
echo "Compiling the matching core ..."
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cp -r "$root/services" "$root/setup.py" "$root/pyproject.toml" "$root/README.md" "$build"
(cd "$build" && OUTCRY_COMPILE=1 "$directory/bin/python" setup.py --quiet build_ext --inplace >"$build/log" 2>&1) || { tail -40 "$build/log" >&2; exit 1; }
rm -rf "$directory/outcry-compiled" && mkdir -p "$directory/outcry-compiled"
cp -r "$build/services/outcry" "$directory/outcry-compiled/"
find "$build" -maxdepth 2 -name '*__mypyc*.so' -exec cp {} "$directory/outcry-compiled/" \;
site=$("$directory/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$directory/outcry-compiled" > "$site/outcry.pth"
echo "$sources" > "$directory/.compiled"
