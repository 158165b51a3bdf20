#!/bin/sh
# Makes a virtual environment from one pinned, hashed requirements file: venv.sh DIRECTORY NAME [own]
# NAME is a file of requirements/ without its ending; "own" also installs this project, editable.
# Does nothing where the environment already holds exactly that file.
set -eu

directory=$1
name=$2
own=${3:-}
root=$(CDPATH= cd -- "$(dirname -- "$0")/../.." && pwd)
requirements="$root/requirements/$name.txt"
stamp="$directory/.installed-$name"

if [ -f "$stamp" ] && cmp -s "$stamp" "$requirements" && [ -x "$directory/bin/python" ]; then
    exit 0
fi

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14; do
        if command -v "$candidate" >/dev/null 2>&1 && new_enough "$candidate"; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

if ! python=$(find_python); then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "No Python 3.11 or newer found; installing python3 with apt-get."
        apt-get update -qq && apt-get install -y -qq python3 python3-venv
        python=$(find_python) || { echo "This release has no Python 3.11 or newer. Install one and set PYTHON=/path/to/it." >&2; exit 1; }
    else
        echo "Python 3.11 or newer is needed. Install it (apt-get install python3 python3-venv) or set PYTHON=/path/to/it." >&2
        exit 1
    fi
fi

if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "The venv module is missing; installing python3-venv with apt-get."
        apt-get update -qq && apt-get install -y -qq python3-venv
    else
        echo "Python's venv module is missing. Run: apt-get install python3-venv" >&2
        exit 1
    fi
fi

echo "Installing $name into $(basename "$directory") ($("$python" --version)) ..."
[ -x "$directory/bin/python" ] || "$python" -m venv "$directory"
if [ -x "$root/.venv/bin/uv" ]; then
    "$root/.venv/bin/uv" pip install --quiet --python "$directory/bin/python" --require-hashes -r "$requirements"
else
    "$directory/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$requirements"
fi
if [ "$own" = own ]; then
    # A .pth file is all that an editable install of a pure package needs; no build backend has to be fetched.
    site=$("$directory/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    echo "$root/services" > "$site/outcry.pth"
    cat > "$directory/bin/outcry" <<SCRIPT
#!/bin/sh
exec "$directory/bin/python" -m outcry "\$@"
SCRIPT
    chmod +x "$directory/bin/outcry"
fi
cp "$requirements" "$stamp"
