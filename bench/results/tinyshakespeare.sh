# tinyshakespeare.sh PRESET NAME: trains on the first 90 %, scores the last 10 % in one stateful pass (nanoGPT's split).
. "$(dirname "$0")/lib.sh"
preset=$1 name=$2
text=$RECUR_DATA/tinyshakespeare/input.txt
show head -c 1003854 "$text" > "$WORK/train.txt"
show tail -c 111540 "$text" > "$WORK/valid.txt"
show "$RECUR" train lm "$WORK/train.txt" --valid "$WORK/valid.txt" --preset "$preset" --threads "$THREADS" --seed "$SEED" \
    --run "$WORK/run" -o "$WORK/model.safetensors" --json > "$WORK/train.json"
show "$RECUR" eval "$WORK/model.safetensors" "$WORK/valid.txt" --threads "$THREADS" --json > "$WORK/eval.json"
result "$name" nats="$(field nats "$WORK/eval.json")" bpc="$(field bpc "$WORK/eval.json")" \
    perplexity="$(field perplexity "$WORK/eval.json")" count="$(field count "$WORK/eval.json")" \
    parameters="$(field parameters "$WORK/train.json")" epochs="$(field epochs "$WORK/train.json")" \
    tokens_per_second="$(field tokens_per_second "$WORK/train.json")" seconds="$(field seconds "$WORK/train.json")"
