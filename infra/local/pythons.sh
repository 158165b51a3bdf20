#!/bin/sh
# Makes a test environment for every other Python version on this machine: pythons.sh DIRECTORY
# Looks on the PATH and among the versions that pyenv keeps, for those that can make one; finding none is not an error.
set -eu
directory=$1
root=$(CDPATH= cd -- "$(dirname -- "$0")/../.." && pwd)
own=$("$root/.venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
for version in 3.11 3.12 3.13 3.14; do
    [ "$version" != "$own" ] || continue
    for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
        if "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
            PYTHON=$candidate sh "$root/infra/local/venv.sh" "$directory/$version" test
            break
        fi
    done
done
