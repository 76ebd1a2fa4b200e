#!/bin/bash
# ETTh1, the usual protocol: 12 / 4 / 4 months (8,640 / 2,880 / 2,880 hours), 7 columns, each by mean and deviation of the
# training months; look-back 96, horizons 96 192 336 720; every window of the test months (none dropped), each beginning
# its look-back up to 96 hours before them. MSE and MAE of those units. SegRNN (arXiv 2308.11200) has .368 .408 .444 .446.
# TIME: seconds of training for each horizon. The best checkpoint is chosen on the validation months.
. "$(dirname "$0")/lib.sh"
look=96
gzip -dc "$RECUR_DATA/etth1/ETTh1.csv.gz" > "$WORK/all.csv"
# part FROM TO: rows of hours FROM+1..TO with the heading
part() { head -n 1 "$WORK/all.csv"; sed -n "$(($1 + 2)),$(($2 + 1))p" "$WORK/all.csv"; }
part 0 8640 > "$WORK/train.csv"
part $((8640 - look)) 11520 > "$WORK/valid.csv"
part $((11520 - look)) 14400 > "$WORK/test.csv"
pairs=() seconds=0 sum=0
for h in ${HORIZONS:-96 192 336 720}; do
    show "$RECUR" train forecast "$WORK/train.csv" --valid "$WORK/valid.csv" --model segment --likelihood point \
        --normalize zscore --no-linear --lookback $look --horizon "$h" --segment 48 --hidden 512 --dropout 0.5 --batch 1792 \
        --lr 0.0003 --schedule constant --average ema --average-decay 0.995 --epochs 30 --time "${TIME:-420}" --threads "$THREADS" \
        --seed "$SEED" --run "$WORK/run-$h" -o "$WORK/m-$h.safetensors" --json > "$WORK/train-$h.json"
    show "$RECUR" eval "$WORK/m-$h.safetensors" "$WORK/test.csv" --batch 512 --no-details --threads "$THREADS" --json \
        > "$WORK/test-$h.json"
    pairs+=("mse_$h=$(field scaled_mse "$WORK/test-$h.json")" "mae_$h=$(field scaled_mae "$WORK/test-$h.json")"
        "windows_$h=$(field windows "$WORK/test-$h.json")" "epochs_$h=$(field epochs "$WORK/train-$h.json")")
    seconds=$(awk "BEGIN { print $seconds + $(field seconds "$WORK/train-$h.json") }")
done
result etth1 "${pairs[@]}" seconds="$seconds"
