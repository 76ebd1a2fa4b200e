#!/bin/bash
# The bottleneck of one vector: the same model on Multi30k with and without attention, the same time each, scored on the test
# file by length of the source, as a table and a picture (docs/pictures/bottleneck.svg with PICTURE=1).
. "$(dirname "$0")/lib.sh"
data=$RECUR_DATA/multi30k-en-de
svg=$WORK/bottleneck.svg
[ -z "${PICTURE:-}" ] || svg=docs/pictures/bottleneck.svg
# shellcheck disable=SC2086
show "$RECUR" compare translate "$data/train.en.gz" "$data/train.de.gz" --valid "$data/val.en.gz" --valid-target "$data/val.de.gz" \
    --lowercase --attention none,general,additive --test "$data/test_2016_flickr.en.gz" --test-target "$data/test_2016_flickr.de.gz" \
    --length-svg "$svg" ${MORE:-} --time "${TIME:-15m}" --epochs 0 --threads "$THREADS" --seed "$SEED" --json > "$WORK/compare.json"
cat "$WORK/compare.json" >&2
# the first score after the name of each kind of attention is that of the whole test file
mapfile -t scores < <(grep -o '"attention": *"[a-z]*"\|"bleu": *[0-9.]*' "$WORK/compare.json" | tr -d '" ' | awk -F: '
    $1 == "attention" { name = $2 } $1 == "bleu" && name { print "bleu_" name "=" $2; name = "" }')
result bottleneck "${scores[@]}" seconds="$(grep -o '"seconds": *[0-9.]*, "tokens_per_second"' "$WORK/compare.json" |
    sed 's/[^0-9.]*\([0-9.]*\).*/\1/' | awk '{ s += $1 } END { print s }')"
