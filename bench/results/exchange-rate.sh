#!/bin/bash
# Exchange rates of 8 countries by day, GluonTS's back-test: trained on the first 6,071 days (8/10 of 7,588), then 5
# forecasts of 30 days, one after the other (its rolling evaluations), from what was known until each. Mean weighted
# quantile loss over .1 to .9 (GluonTS's tables: DeepAR .0233, seasonal naive .0107, Transformer .0088).
. "$(dirname "$0")/lib.sh"
gzip -dc "$RECUR_DATA/exchange-rate/exchange_rate.txt.gz" > "$WORK/all.csv"
head -n 6071 "$WORK/all.csv" > "$WORK/train.csv"
head -n 6221 "$WORK/all.csv" > "$WORK/test.csv"
show "$RECUR" train forecast "$WORK/train.csv" --horizon 30 --time "${TIME:-5m}" --threads "$THREADS" --seed "$SEED" \
    ${OPTIONS:---model direct} --run "$WORK/run" -o "$WORK/model.safetensors" --json > "$WORK/train.json"
show "$RECUR" eval "$WORK/model.safetensors" "$WORK/test.csv" --start -150 --stride 30 --threads "$THREADS" --no-details \
    --json > "$WORK/test.json"
result exchange-rate wql="$(field mean_weighted_quantile_loss "$WORK/test.json")" nd="$(field nd "$WORK/test.json")" \
    mase="$(field mase "$WORK/test.json")" coverage="$(field coverage "$WORK/test.json")" \
    windows="$(field windows "$WORK/test.json")" parameters="$(field parameters "$WORK/train.json")" \
    seconds="$(field seconds "$WORK/train.json")"
