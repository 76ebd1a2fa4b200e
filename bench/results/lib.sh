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

# ---- classifiers and regressors: several seeds ---------------------------------------------------------------------------

# numbers KEY FILE...: mean, deviation (of n - 1) and how many, of a number that each file has.
numbers() {
    local key=$1
    shift
    for f in "$@"; do field "$key" "$f"; done | awk '{s += $1; q += $1 * $1; n++}
        END {v = n > 1 ? (q - s * s / n) / (n - 1) : 0
             if (n) printf "%.6g %.4g %d\n", s / n, (v > 0 ? sqrt(v) : 0), n}'
}

# over_seeds NAME TEST "KEY..." COMMAND...: trains with each of $SEEDS, scores TEST, and prints one result with the mean and
# the deviation of each key, and what the plain method gave on the validation examples.
over_seeds() {
    local name=$1 test=$2 keys=$3 seed key pairs=() mean deviation n
    shift 3
    for seed in $SEEDS; do
        show "$RECUR" "$@" --threads "$THREADS" --seed "$seed" --run "$WORK/$name-$seed" -o "$WORK/$name-$seed.safetensors" \
            --json > "$WORK/$name-train-$seed.json" 2> "$WORK/log" || { cat "$WORK/log" >&2; return 1; }
        grep -E '^(\+|baseline)' "$WORK/log" >&2 || true
        show "$RECUR" eval "$WORK/$name-$seed.safetensors" "$test" ${EVAL:-} --threads "$THREADS" --json > "$WORK/$name-eval-$seed.json"
    done
    for key in $keys; do
        read -r mean deviation n < <(numbers "$key" "$WORK/$name"-eval-*.json)
        pairs+=("$key=$mean" "${key}_deviation=$deviation")
    done
    read -r mean deviation n < <(numbers score "$WORK/$name"-train-*.json)
    pairs+=("valid_score=$mean" "seeds=$n")
    mean=$(sed -n 's/^baseline: .* \([0-9.e+-]*\)$/\1/p' "$WORK/log" | tail -n 1)
    [ -z "$mean" ] || pairs+=("valid_baseline=$mean")
    read -r mean deviation n < <(numbers seconds "$WORK/$name"-train-*.json)
    pairs+=("seconds=$mean" "examples=$(field examples "$WORK/$name-eval-$seed.json")")
    result "$name" "${pairs[@]}" ${MORE:+"$MORE"}
}

# plain_on TEST COMMAND...: MORE becomes the score of the plain method, learnt from all of the training file, on TEST. (It is said
# beside any training that validates on TEST; nothing of that training is kept.)
plain_on() {
    local test=$1 value
    shift
    "$RECUR" "$@" --valid "$test" --steps 1 --threads "$THREADS" --run "$WORK/plain" -o "$WORK/plain.safetensors" > /dev/null 2> "$WORK/log"
    value=$(sed -n 's/^baseline: .* \([0-9.e+-]*\)$/\1/p' "$WORK/log" | tail -n 1)
    rm -rf "$WORK/plain"
    MORE="test_baseline=$value"
}
