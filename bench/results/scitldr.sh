#!/bin/bash
# SciTLDR, abstracts to one sentence: 1,992 training papers, of which a tenth chooses the checkpoint; the 619 of dev are scored
# once, against the first of their summaries, beside the first sentence and the best single sentence of the abstract.
. "$(dirname "$0")/lib.sh"
data=$RECUR_DATA/scitldr
# shellcheck disable=SC2086
show "$RECUR" train summarize "$data/train.jsonl.gz" --valid-fraction 0.1 ${MORE:-} --time "${TIME:-30m}" --epochs 0 \
    --threads "$THREADS" --seed "$SEED" --run "$WORK/run" -o "$WORK/model.safetensors" --json > "$WORK/train.json"
show "$RECUR" eval "$WORK/model.safetensors" "$data/dev.jsonl" --threads "$THREADS" --json > "$WORK/dev.json"
grep -o '"baselines": *\[[^]]*\]' "$WORK/dev.json" >&2 || true
result scitldr rouge1="$(field rouge1 "$WORK/dev.json")" rouge2="$(field rouge2 "$WORK/dev.json")" \
    rougeL="$(field rougeL "$WORK/dev.json")" valid_rougeL="$(field score "$WORK/train.json")" \
    parameters="$(field parameters "$WORK/train.json")" epochs="$(field epochs "$WORK/train.json")" \
    seconds="$(field seconds "$WORK/train.json")"
