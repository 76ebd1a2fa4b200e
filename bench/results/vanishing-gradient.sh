#!/bin/bash
# The vanishing gradient: who solves the adding problem (Hochreiter & Schmidhuber 1997) at growing T within a minute
# each, and the norm of the loss's gradient at the state against its distance in time, as a table and a picture
# (docs/pictures/vanishing-gradient.svg with PICTURE=1).
. "$(dirname "$0")/lib.sh"
svg=$WORK/vanishing-gradient.svg
[ -z "${PICTURE:-}" ] || svg=docs/pictures/vanishing-gradient.svg
show "$RECUR" compare lm adding:T=50 adding:T=100 adding:T=200 --cells rnn,lstm,gru --layers 1 --hidden 64 \
    --time "${TIME:-60s}" --threads "$THREADS" --seed "$SEED" --gradient initial --gradient-svg "$svg" --json > "$WORK/compare.json"
cat "$WORK/compare.json" >&2
solved=$({ grep -o '"solved": *true' "$WORK/compare.json" || true; } | wc -l) # none is a result too
result vanishing-gradient solved="$solved" runs=9 seconds="$(grep -o '"seconds": *[0-9.]*' "$WORK/compare.json" | sed 's/.*: *//' |
    awk '{ s += $1 } END { print s }')"
