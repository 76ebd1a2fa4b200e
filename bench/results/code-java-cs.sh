#!/bin/bash
# CodeXGLUE's code translation, Java to C#, 10,295 / 499 / 1,000 functions, one a line: BLEU of words between blanks and exact
# matches. valid chooses the checkpoint, test is scored once. Beside it stands copying the source (a baseline in the evaluation).
. "$(dirname "$0")/lib.sh"
data=$RECUR_DATA/code-java-cs
# shellcheck disable=SC2086
show "$RECUR" train translate "$data/train.java.txt.gz" "$data/train.cs.txt.gz" --valid "$data/valid.java.txt" \
    --valid-target "$data/valid.cs.txt" --copy --max-source 400 --max-target 400 --batch-tokens 3000 ${MORE:-} --time "${TIME:-45m}" \
    --epochs 0 --threads "$THREADS" --seed "$SEED" --run "$WORK/run" -o "$WORK/model.safetensors" --json > "$WORK/train.json"
for beam in 1 5; do
    show "$RECUR" eval "$WORK/model.safetensors" "$data/test.java.txt" --reference "$data/test.cs.txt" --bleu-tokenizer none \
        --beam $beam --threads "$THREADS" --json > "$WORK/test$beam.json"
done
result code-java-cs bleu="$(field bleu "$WORK/test5.json")" bleu_greedy="$(field bleu "$WORK/test1.json")" \
    exact_match="$(field exact_match "$WORK/test5.json")" chrf="$(field chrf "$WORK/test5.json")" \
    parameters="$(field parameters "$WORK/train.json")" epochs="$(field epochs "$WORK/train.json")" \
    seconds="$(field seconds "$WORK/train.json")"
