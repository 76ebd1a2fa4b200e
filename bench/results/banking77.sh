#!/bin/bash
# 77 intents of bank customers: train 10,003, a tenth of which is drawn for validation; test 3,080, as published.
SEEDS=${SEEDS:-1 2 3}
. "$(dirname "$0")/lib.sh"
data=$RECUR_DATA/banking77
plain_on "$data/test.csv" train classify "$data/train.csv" --text text --label category
over_seeds banking77 "$data/test.csv" "accuracy macro_f1" train classify "$data/train.csv" --text text --label category "$@"
