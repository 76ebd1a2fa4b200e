#!/bin/bash
# Small sets of series, their own train and test files, a tenth of the training series drawn for validation; a line each: three of
# classes, and one of targets.
SEEDS=${SEEDS:-1 2 3}
. "$(dirname "$0")/lib.sh"
data=$RECUR_DATA/ucr-uea
for set in GunPoint ItalyPowerDemand BasicMotions; do
    plain_on "$data/${set}_TEST.ts" train classify "$data/${set}_TRAIN.ts" --numeric
    over_seeds "ucr-$set" "$data/${set}_TEST.ts" "accuracy macro_f1" train classify "$data/${set}_TRAIN.ts" --numeric "$@"
done
plain_on "$data/Covid3Month_TEST.ts" train regress "$data/Covid3Month_TRAIN.ts"
over_seeds ucr-Covid3Month "$data/Covid3Month_TEST.ts" "rmse mae" train regress "$data/Covid3Month_TRAIN.ts" "$@"
