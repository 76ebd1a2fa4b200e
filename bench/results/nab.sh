#!/bin/bash
# The 23 series of NAB (numenta/NAB) that are held, by NAB's own rules: each series is a stream of its own, whose model
# is trained on its probationary rows - min(15 %, 750), which NAB does not score - and goes on learning from each row
# after it was scored. All settings are the program's defaults. One threshold over all 23, chosen on their score as NAB
# does it for every detector; nab_standard_threshold_5 is with the models' own threshold, which is chosen on nothing.
# Without NAB's other 35 series a score has no place on NAB's board.
. "$(dirname "$0")/lib.sh"
NAB_SCORE=${NAB_SCORE:-$(dirname "$RECUR")/nab_score}
[ -x "$NAB_SCORE" ] || { echo "$NAB_SCORE is not there: cmake --build build --target nab_score" >&2; exit 2; }
data=$RECUR_DATA/nab
mapfile -t files < <(cd "$data" && ls */*.csv)
for file in "${files[@]}"; do
    rows=$(awk 'NR > 1 && NF { n++ } END { print n + 0 }' "$data/$file")
    first=$((rows * 15 / 100 < 750 ? rows * 15 / 100 : 750))
    mkdir -p "$WORK/scores/$(dirname "$file")"
    head -n $((first + 1)) "$data/$file" > "$WORK/first.csv"
    show "$RECUR" train detect "$WORK/first.csv" --seed "$SEED" --threads "$THREADS" --quiet --run "$WORK/run" \
        -o "$WORK/model.safetensors"
    show "$RECUR" predict "$WORK/model.safetensors" "$data/$file" --online --csv --threads "$THREADS" \
        > "$WORK/scores/$file"
    rm -rf "$WORK/run"
done
show "$NAB_SCORE" "$data/labels/combined_windows.json" "$data" "$WORK/scores" "${files[@]}" \
    > "$WORK/nab.json"
keys=()
for key in nab_standard nab_standard_windowed_gaussian nab_standard_null nab_low_fp nab_low_fp_windowed_gaussian nab_low_fn \
    nab_low_fn_windowed_gaussian nab_standard_threshold_5 threshold windows windows_found false_alarms series; do
    keys+=("$key=$(field "$key" "$WORK/nab.json")")
done
result nab "${keys[@]}"
