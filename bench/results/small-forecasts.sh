#!/bin/bash
# Small series, each with the defaults and what is usual for its kind: the last part is held out, and forecast window after
# window from what was known until each. MAE in the series' own units beside the linear model and the seasonal naive (and the
# plain naive, where it is another) on the same windows: where a naive one wins, that is the result. `ONLY=NAME` runs one.
#
#   name           rows to train on of all; horizon; windows are forecast from the first row held out
. "$(dirname "$0")/lib.sh"

# mae_of N FILE: of the N-th model of an evaluation, and name_of N FILE.
model_of() { grep -o '"models": *\[.*' "$2" | grep -o '{[^}]*}' | sed -n "$1p"; }
mae_of() { model_of "$1" "$2" | grep -o '"mae": *[-+0-9.eE]*' | sed 's/.*: *//'; }
name_of() { model_of "$1" "$2" | grep -o '"model": *"[^"]*"' | sed 's/.*: *"\(.*\)"/\1/'; }

# one NAME FILE ROWS HORIZON OPTION...: FILE's heading and its first ROWS rows are trained on.
one() {
    local name=$1 file=$2 rows=$3 horizon=$4 total i pairs=()
    shift 4
    [ -z "${ONLY:-}" ] || [ "$ONLY" = "$name" ] || return 0
    total=$(($(grep -c '' "$file") - 1))
    head -n $((rows + 1)) "$file" > "$WORK/train.csv"
    show "$RECUR" train forecast "$WORK/train.csv" --horizon "$horizon" --time "${TIME:-1m}" --threads "$THREADS" --seed "$SEED" \
        "$@" --run "$WORK/$name" -o "$WORK/$name.safetensors" --json > "$WORK/train.json" 2> "$WORK/log" ||
        { cat "$WORK/log" >&2; return 1; }
    show "$RECUR" eval "$WORK/$name.safetensors" "$file" --start $((rows - total)) --stride "$horizon" --threads "$THREADS" \
        --json > "$WORK/test.json"
    for i in 2 3 4; do
        [ -z "$(name_of $i "$WORK/test.json")" ] || pairs+=("$(name_of $i "$WORK/test.json" | tr ' ' '_' | tr -d '()')=$(mae_of $i "$WORK/test.json")")
    done
    result "$name" model="\"$(name_of 1 "$WORK/test.json")\"" mae="$(mae_of 1 "$WORK/test.json")" "${pairs[@]}" \
        mase="$(field mase "$WORK/test.json")" coverage="$(field coverage "$WORK/test.json")" \
        windows="$(field windows "$WORK/test.json")" seconds="$(field seconds "$WORK/train.json")"
}

S=$RECUR_DATA/small-series
one airline "$S/airline-passengers.csv" 120 12
one shampoo "$S/shampoo.csv" 24 3
one min-temperature "$S/daily-min-temperatures.csv" 3285 30
one sunspots "$S/monthly-sunspots.csv" 2580 24
one co2 "$RECUR_DATA/weather-co2/co2-concentration.csv" 681 12 --target CO2 --inputs none
one seattle "$RECUR_DATA/weather-co2/seattle-weather.csv" 1096 7 --target temp_max \
    --inputs precipitation,temp_min,wind,weather --categorical weather
one sp500 "$RECUR_DATA/sp500-daily/sp500-2000.csv" 4600 5 --target close --inputs none --season 1
# Hours are written in four columns: joined to one stamp; the wind's direction is a name.
gzip -dc "$RECUR_DATA/beijing-pm25/pollution.csv.gz" |
    awk -F, 'NR == 1 {print "time,pm2.5,DEWP,TEMP,PRES,cbwd,Iws,Is,Ir"; next}
             {printf "%04d-%02d-%02d %02d:00,%s,%s,%s,%s,%s,%s,%s,%s\n", $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13}' \
    > "$WORK/beijing.csv"
one beijing-pm25 "$WORK/beijing.csv" 35064 24 --target pm2.5 \
    --inputs DEWP,TEMP,PRES,cbwd,Iws,Is,Ir --categorical cbwd
