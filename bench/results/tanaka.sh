#!/bin/bash
# Tanaka corpus, English to Japanese, 50,000 / 500 / 500 pairs that are cut into words already: words between blanks are scored
# (--bleu-tokenizer none). dev chooses the checkpoint, test is scored once. Beside it stands copying the source.
. "$(dirname "$0")/lib.sh"
data=$RECUR_DATA/tanaka-en-ja
# shellcheck disable=SC2086
show "$RECUR" train translate "$data/train.en.gz" "$data/train.ja.gz" --valid "$data/dev.en" --valid-target "$data/dev.ja" \
    ${MORE:-} --time "${TIME:-30m}" --epochs 0 --threads "$THREADS" --seed "$SEED" --run "$WORK/run" -o "$WORK/model.safetensors" \
    --json > "$WORK/train.json"
for beam in 1 5; do
    show "$RECUR" eval "$WORK/model.safetensors" "$data/test.en" --reference "$data/test.ja" --bleu-tokenizer none --beam $beam \
        --threads "$THREADS" --json > "$WORK/test$beam.json"
done
result tanaka bleu="$(field bleu "$WORK/test5.json")" bleu_greedy="$(field bleu "$WORK/test1.json")" chrf="$(field chrf "$WORK/test5.json")" \
    exact_match="$(field exact_match "$WORK/test5.json")" parameters="$(field parameters "$WORK/train.json")" \
    epochs="$(field epochs "$WORK/train.json")" seconds="$(field seconds "$WORK/train.json")"
