#!/bin/bash
# 9 speakers by their vowels, 12 channels, 7 to 29 steps: 270 to train, all of them, 370 to test, as published; the mean
# of 10 seeds. The cell was chosen by a quarter of the training data over 8 seeds: gru .990, lstm .983.
SEEDS=${SEEDS:-1 2 3 4 5 6 7 8 9 10}
. "$(dirname "$0")/lib.sh"
data=$RECUR_DATA/ucr-uea
plain_on "$data/JapaneseVowels_TEST.ts" train classify "$data/JapaneseVowels_TRAIN.ts" --numeric
over_seeds japanese-vowels "$data/JapaneseVowels_TEST.ts" "accuracy macro_f1" train classify "$data/JapaneseVowels_TRAIN.ts" \
    --numeric --encoder gru --valid-fraction 0 "$@"
