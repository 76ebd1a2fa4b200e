#!/bin/bash
# deps.sh [--check] GROUP...: sees to it that what GROUP needs is there, by installing Debian packages.
#   build   the compiler and the libraries      test   what the tests use besides
#   demo    a text to learn from                check  Clang, sanitizers, the other matrix backend
# Only what is missing is installed, and it says what; as root, or with sudo. With --check it only says what is missing.
# Presence is asked of the tools themselves, so that other systems pass when they have them.
set -euo pipefail

check=false
if [ "${1-}" = "--check" ]; then
    check=true
    shift
fi
missing=()
need() { # need PACKAGE TEST...: PACKAGE is missing when TEST fails
    local package=$1
    shift
    "$@" > /dev/null 2>&1 || missing+=("$package")
}
command_there() { command -v "$1"; }
module_there() { pkg-config --exists "$1"; }
header_there() { echo "#include <$1>" | cc -E -x c - ; }
package_there() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1")" = installed ]; }

for group in "$@"; do
    case $group in
    build)
        need build-essential command_there cc
        need cmake command_there cmake
        need ninja-build command_there ninja
        need pkg-config command_there pkg-config
        need libdnnl-dev header_there dnnl.h
        need libjansson-dev module_there jansson
        need libpcre2-dev module_there libpcre2-8
        need libutf8proc-dev module_there libutf8proc
        need libyaml-dev module_there yaml-0.1
        need zlib1g-dev header_there zlib.h
        ;;
    test)
        need build-essential command_there c++
        need libcmocka-dev module_there cmocka
        need jq command_there jq
        need groff-base command_there groff
        ;;
    demo) need bible-kjv command_there bible ;;
    check)
        need clang command_there clang
        need libomp-dev package_there libomp-dev
        need libclang-rt-14-dev package_there libclang-rt-14-dev
        need libopenblas-dev module_there openblas
        need clang-tidy command_there clang-tidy
        need cppcheck command_there cppcheck
        need valgrind command_there valgrind
        ;;
    *)
        echo "deps.sh: expected build, test, demo or check, found \"$group\"" >&2
        exit 2
        ;;
    esac
done
[ ${#missing[@]} -gt 0 ] || exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

if $check; then
    echo "These Debian packages (or the same of your system) are missing: ${missing[*]}" >&2
    echo "Install them with: scripts/deps.sh $*" >&2
    exit 4
fi
if ! command -v apt-get > /dev/null; then
    echo "This needs, under the names of Debian: ${missing[*]}" >&2
    echo "There is no apt-get here: please install them the way of your system, then run this again." >&2
    exit 4
fi
root=()
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo > /dev/null; then
        echo "This needs the Debian packages: ${missing[*]}" >&2
        echo "You are not root and there is no sudo: please have them installed, then run this again." >&2
        exit 4
    fi
    root=(sudo)
fi
echo "Installing ${missing[*]} (apt-get install, the only thing that is changed outside this folder)"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@" < /dev/null > "$log" 2>&1; }
# The package lists of a fresh machine may be absent or too old: fetch them, but only when they do not suffice.
if ! apt install --no-install-recommends "${missing[@]}"; then
    if ! { apt update && apt install --no-install-recommends "${missing[@]}"; }; then
        cat "$log" >&2
        echo "The packages could not be installed: ${missing[*]}" >&2
        exit 4
    fi
fi
