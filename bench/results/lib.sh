# lib.sh - shared by the scripts of this folder: each shows the commands it runs and ends with one JSON line.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
RECUR=${RECUR:-build/recur}
THREADS=${THREADS:-2}
SEED=${SEED:-1}
[ -n "${RECUR_DATA:-}" ] || { echo "RECUR_DATA is not set: the folder that holds the data sets" >&2; exit 2; }
[ -x "$RECUR" ] || { echo "$RECUR is not there: run make first, or set RECUR" >&2; exit 2; }
WORK=$(mktemp -d "${TMPDIR:-/tmp}/recur-result.XXXXXX")
trap 'rm -rf "$WORK"' EXIT

# Shows a command, with the folders shortened, and runs it.
show() {
    printf '+ %s\n' "$(printf '%q ' "$@" | sed -e "s|$RECUR_DATA|\$RECUR_DATA|g" -e "s|$WORK|\$WORK|g")" >&2
    "$@"
}

# field NAME FILE: a number of a one-line JSON object (its first occurrence).
field() { grep -o "\"$1\": *[-+0-9.eE]*" "$2" | head -n 1 | sed 's/.*: *//'; }

# result NAME KEY=VALUE...: the last line. A field that was not there is an error, not a hole in the JSON.
result() {
    local name=$1 out pair
    shift
    for pair in "$@"; do
        [ -n "${pair#*=}" ] || { echo "$name: the command printed no ${pair%%=*}" >&2; return 1; }
    done
    out="{\"name\": \"$name\""
    for pair in "$@"; do out+=", \"${pair%%=*}\": ${pair#*=}"; done
    printf '%s, "threads": %s, "seed": %s}\n' "$out" "$THREADS" "$SEED"
}
