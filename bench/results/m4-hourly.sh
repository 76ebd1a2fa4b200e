#!/bin/bash
# M4 hourly: 414 series of 700 or 960 hours, horizon 48, season 24, as in M4's own evaluation (MASE by the whole series
# before; OWA against its Naive2, which has sMAPE 18.383 and MASE 2.395 there). The mean weighted quantile loss is
# GluonTS's over .1 to .9. The best checkpoint is chosen on the last tenth of the training series.
. "$(dirname "$0")/lib.sh"
data=$RECUR_DATA/m4-hourly
show "$RECUR" train forecast "$data/Hourly-train.csv.gz" --horizon 48 --season 24 --time "${TIME:-5m}" --threads "$THREADS" \
    --seed "$SEED" ${OPTIONS:---model es-rnn --lr 0.002 --epochs 0} --run "$WORK/run" -o "$WORK/model.safetensors" --json > "$WORK/train.json"
show "$RECUR" eval "$WORK/model.safetensors" "$data/Hourly-test.csv" --no-details --threads "$THREADS" --json > "$WORK/test.json"
result m4-hourly wql="$(field mean_weighted_quantile_loss "$WORK/test.json")" owa="$(field owa "$WORK/test.json")" \
    smape="$(field smape "$WORK/test.json")" mase="$(field mase "$WORK/test.json")" \
    coverage="$(field coverage "$WORK/test.json")" windows="$(field windows "$WORK/test.json")" \
    parameters="$(field parameters "$WORK/train.json")" seconds="$(field seconds "$WORK/train.json")"
