#!/bin/bash
# Remaining life of turbofan engines, C-MAPSS FD001: 100 engines run to their end, 100 that stop before. Remaining life is capped
# at 125 cycles in training and in the test alike; windows of 30 cycles end at each cycle of the training engines, a tenth of which
# (whole engines) is drawn for validation; of each test engine the last window is scored. The mean of 5 seeds.
SEEDS=${SEEDS:-1 2 3 4 5}
. "$(dirname "$0")/lib.sh"
data=$RECUR_DATA/cmapss-fd001
# long NAME: a header, and the column rul; the file after the first has the life that is left at the end of each engine.
long() {
    awk -v cap=125 'NR == FNR {left[FNR] = $1; next}
        {if (!($1 in last)) n++; last[$1] = $2; line[++rows] = $0}
        END {
            printf "unit,cycle,setting1,setting2,setting3"
            for (i = 1; i <= 21; i++) printf ",s%d", i
            print ",rul"
            for (i = 1; i <= rows; i++) {
                split(line[i], v, " ")
                rul = last[v[1]] - v[2] + left[v[1]]
                for (k = 1; k <= 26; k++) printf "%s,", v[k]
                print rul < cap ? rul : cap
            }
        }' "$1" <(zcat "$2")
}
printf '0\n%.0s' {1..100} > "$WORK/zeros"
long "$WORK/zeros" "$data/train_FD001.txt.gz" > "$WORK/train.csv"
long "$data/RUL_FD001.txt" "$data/test_FD001.txt.gz" > "$WORK/test.csv"
over_seeds cmapss "$WORK/test.csv" "rmse mae" train regress "$WORK/train.csv" --id unit --time-column cycle --target rul \
    --window 30 "$@"
