#!/bin/bash
# Sentiment of sentences, SST-2: the 6,920 training sentences alone (no phrases, no other data), best on the 872 of dev, scored
# once on the 1,821 of test; the mean of 5 seeds. More options go to `recur train`.
SEEDS=${SEEDS:-1 2 3 4 5}
. "$(dirname "$0")/lib.sh"
data=$RECUR_DATA/sst
plain_on "$data/stsa.binary.test" train classify "$data/stsa.binary.train" --format label-first
over_seeds sst "$data/stsa.binary.test" "accuracy macro_f1" train classify "$data/stsa.binary.train" --format label-first \
    --valid "$data/stsa.binary.dev" "$@"
