#!/bin/sh
# Makes a virtual environment from one pinned, hashed requirements file: venv.sh DIRECTORY NAME [own]
# NAME is a file of requirements/ without its ending; "own" also installs this project, editable.
# Does nothing where the environment already holds exactly that file.
set -eu

name=$2
own=${3:-}
root=$(CDPATH= cd -- "$(dirname -- "$0")/../.." && pwd)
mkdir -p "$1"
directory=$(CDPATH= cd -- "$1" && pwd -P)
requirements="$root/requirements/$name.txt"
stamp="$directory/.installed-$name"

# Whether the environment works: a move of the directory, an upgrade of the system's Python and an interrupt break one.
is_whole() {
    case "$(grep '^command = ' "$directory/pyvenv.cfg" 2>/dev/null)" in
        *" $directory") "$directory/bin/python" -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("pip"))' 2>/dev/null ;;
        *) return 1 ;;
    esac
}

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

# The first of this release's Pythons that is new enough, as far as apt knows; python3 where it knows nothing.
packaged_python() {
    for package in python3 python3.13 python3.12 python3.11; do
        version=$(apt-cache show --no-all-versions "$package" 2>/dev/null | sed -n 's/^Version: //p')
        if [ -n "$version" ] && dpkg --compare-versions "$version" ge 3.11; then
            echo "$package"
            return 0
        fi
    done
    echo python3
}

find_or_install_python() {
    find_python && return 0
    [ "$(id -u)" != 0 ] || apt-get update -qq >/dev/null 2>&1 || true  # so that apt knows what there is
    package=$(packaged_python)
    sh "$root/infra/local/apt.sh" "No Python 3.11 or newer was found (PYTHON=/path/to/it names one)." \
        "$package" "$package-venv" >&2 || return 1
    find_python && return 0
    echo "This release has no Python 3.11 or newer. Install one and run again with PYTHON=/path/to/it." >&2
    return 1
}

has_venv() {
    "$python" -c 'import venv, ensurepip' 2>/dev/null
}

if [ -f "$stamp" ] && cmp -s "$stamp" "$requirements" && is_whole; then
    exit 0
fi

if ! is_whole; then
    python=$(find_or_install_python) || exit 1
    if ! has_venv; then
        sh "$root/infra/local/apt.sh" "$python has no venv module." "$(basename "$python")-venv"
        has_venv || { echo "$python still has no venv module. Run again with PYTHON=/path/to/one that has it." >&2; exit 1; }
    fi
    "$python" -m venv --clear "$directory"
fi

echo "Installing $name into ${directory#"$root/"} ($("$directory/bin/python" --version)) ..."
if [ -x "$root/.venv/bin/uv" ]; then
    set -- "$root/.venv/bin/uv" pip install --quiet --compile-bytecode --python "$directory/bin/python"
else
    set -- "$directory/bin/python" -m pip install --quiet --disable-pip-version-check
fi
if ! "$@" --require-hashes -r "$requirements"; then
    echo "The requirements could not be installed: see above. Is PyPI reachable from here? Then run the same command again." >&2
    exit 1
fi
if [ "$own" = own ]; then
    # A .pth file is all that an editable install of a pure package needs; no build backend has to be fetched.
    site=$("$directory/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    printf '%s\n' "$root/services" "$root/operators" > "$site/outcry.pth"
    cat > "$directory/bin/outcry" <<SCRIPT
#!/bin/sh
exec "$directory/bin/python" -m outcry "\$@"
SCRIPT
    chmod +x "$directory/bin/outcry"
fi
cp "$requirements" "$stamp"
