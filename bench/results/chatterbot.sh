#!/bin/bash
# chatterbot's English conversations: 2,025 of them, all learnt from; how many of the replies come back word for word (many
# questions have several right ones), and how varied and repetitive what it says is.
. "$(dirname "$0")/lib.sh"
data=$RECUR_DATA/chatterbot/${LANGUAGE_FOLDER:-english}
# shellcheck disable=SC2086
show "$RECUR" train chat "$data"/*.yml ${MORE:-} --time "${TIME:-10m}" --epochs 0 --threads "$THREADS" --seed "$SEED" \
    --run "$WORK/run" -o "$WORK/model.safetensors" --json > "$WORK/train.json"
for f in "$data"/*.yml; do
    "$RECUR" eval "$WORK/model.safetensors" "$f" --no-details --beam 1 --threads "$THREADS" --json > "$WORK/eval-$(basename "$f").json"
done
average() { # KEY: over all pairs
    for f in "$WORK"/eval-*.json; do echo "$(field "$1" "$f") $(field pairs "$f")"; done | awk '{ s += $1 * $2; n += $2 } END { print s / n }'
}
pairs=$(for f in "$WORK"/eval-*.json; do field pairs "$f"; done | awk '{ n += $1 } END { print n }')
result chatterbot exact_match="$(average exact_match)" bleu="$(average bleu)" distinct_2="$(average distinct_2)" \
    repetition="$(average repetition)" pairs="$pairs" parameters="$(field parameters "$WORK/train.json")" \
    epochs="$(field epochs "$WORK/train.json")" seconds="$(field seconds "$WORK/train.json")"
