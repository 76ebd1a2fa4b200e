# lib.sh - exact tests of the command line. A script sources this, runs commands with `t`, and ends with `finish`.
#
#   t 'recur train lm'          runs it; command, standard output, standard error and exit code join the transcript
#   mask 's/[0-9]+ s/N s/'      an extended sed expression over what follows, for what differs between machines
#   check 'what' COMMAND...     a condition that must hold; says so when it does not
#
# finish compares the transcript with expect/SCRIPT.txt. Accept new output (then read the diff in git):
#   RECUR_ACCEPT=1 ctest --test-dir build -R '^cli'
set -u
: "${RECUR:?RECUR must name the program: RECUR=build/recur bash tests/cli/$(basename "$0")}"
RECUR=$(realpath "$RECUR")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
script=$(realpath "$0")
name=$(basename "$0" .sh)
expect=${RECUR_EXPECT:-$here/expect}/$name.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/here"
ln -s "$RECUR" "$work/bin/recur"
PATH=$work/bin:$PATH
cd "$work/here" || exit 1
export LC_ALL=C.UTF-8 TZ=UTC TERM=dumb OMP_NUM_THREADS=1
unset TMPDIR RECUR_ISA
: >"$work/transcript"
masks=()
failed=0

mask() { masks+=(-e "$1"); }

t() {
    local code
    printf '$ %s\n' "$1" >>"$work/transcript"
    (eval "$1") >"$work/out" 2>"$work/err" </dev/null
    code=$?
    for part in out err; do
        if [ -s "$work/$part" ]; then
            [ $part = err ] && echo '[standard error]' >>"$work/transcript"
            sed -E -e "s#$work/here#HERE#g" "${masks[@]}" "$work/$part" >>"$work/transcript"
            [ -n "$(tail -c 1 "$work/$part")" ] && printf '\n[no newline at the end]\n' >>"$work/transcript"
        fi
    done
    printf '[exit %d]\n\n' $code >>"$work/transcript"
}

check() {
    local what=$1
    shift
    if ! "$@" >/dev/null; then
        echo "$name: $what: this does not hold: $*"
        failed=1
    fi
}

# A small text that any vocabulary can learn: make_text LINES
make_text() {
    awk -v n="$1" 'BEGIN {
        split("cat dog bird fish", animal); split("mat log wire stone", place); split("sat ran sang slept", verb)
        for (i = 0; i < n; i++) printf "the %s %s on the %s\n", animal[i % 4 + 1], verb[i % 3 + 1], place[i * 7 % 4 + 1]
    }'
}

finish() {
    if [ -n "${RECUR_ACCEPT:-}" ]; then
        mkdir -p "$(dirname "$expect")"
        cp "$work/transcript" "$expect"
    fi
    if ! diff -u "$expect" "$work/transcript"; then
        echo "$name: the output differs from $expect"
        failed=1
    fi
    [ $failed -eq 0 ] || echo "again: RECUR=$RECUR bash $script    accept: RECUR_ACCEPT=1 before it"
    exit $failed
}
