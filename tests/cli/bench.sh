#!/bin/bash
# recur bench: the fields of one object, and that they agree with each other. Times are not judged.
. "$(dirname "$0")/lib.sh"

small='--hidden 8 --time 0.01 --threads 1 --json'
keys() { jq -rS 'keys[]' <<<"$1" | tr '\n' ' '; }
holds() { jq -e "$2" <<<"$1"; }

rnn=$(recur bench rnn $small --cell gru --batch 3 --seq-len 4 --layers 2 --train)
check 'fields of rnn' test "$(keys "$rnn")" = "batch bench bidirectional bound cell first_ms floor_bytes_ms floor_flops_ms\
 floor_ms gflops hidden input layers lengths load_gb_per_second ms ms_min passes peak_bytes peak_gflops peak_of\
 percent_of_peak precision rss_growth_bytes seq_len threads tokens_per_second train working_set_bytes "
check 'the floor is the longer one' holds "$rnn" '.floor_ms == ([.floor_flops_ms, .floor_bytes_ms] | max)'
check 'the bound names it' holds "$rnn" '(.bound == "flops") == (.floor_flops_ms >= .floor_bytes_ms)'
check 'percent' holds "$rnn" '(100 * .gflops / .peak_gflops - .percent_of_peak) | fabs < 1e-6'
# 2 * 3 operations * 12 tokens * 2 layers * 3 gates * 8 * 16 elements
check 'operations' holds "$rnn" '(.gflops * .ms * 1e6 / 55296 - 1) | fabs < 1e-6'
check 'operations / peak' holds "$rnn" '(.floor_flops_ms * .peak_gflops * 1e6 / 55296 - 1) | fabs < 1e-6'
# recurrent matrices of both layers 4 times, the others once, and backward again; 4 bytes each
check 'bytes / load rate' holds "$rnn" '(.floor_bytes_ms * .load_gb_per_second * 1e6 / (2 * 4 * 384 * (4 + 1)) - 1) | fabs < 1e-6'
check 'one layer at a time' holds "$rnn" '.working_set_bytes == 4 * 192'
check 'positive numbers' holds "$rnn" '[.ms, .first_ms, .floor_bytes_ms, .peak_bytes] | min > 0'

random=$(recur bench rnn $small --batch 5 --seq-len 7 --lengths random)
check 'lengths are told' holds "$random" '(.row_lengths | length == 5 and min >= 1 and max <= 7)'
check 'the operations of real steps' holds "$random" '(.gflops * .ms * 1e6 / (2 * 512 * (.row_lengths | add)) - 1) | fabs < 1e-6'

step=$(recur bench step $small --cell lstm)
check 'fields of step' test "$(keys "$step")" = "batch bench bound cell first_us floor_bytes_us floor_flops_us floor_us gflops\
 hidden input layers load_gb_per_second peak_bytes peak_gflops peak_of percent_of_peak precision rss_growth_bytes steps\
 threads tokens_per_second us_mean us_median us_min us_p99 working_set_bytes "
check 'a stream reads all' holds "$step" '.working_set_bytes == 4 * 512 and .batch == 1'

attention=$(recur bench attention --heads 4 --kv-heads 2 --dim 8 --batch 3 --seq-len 5 --causal --train --dropout 0.1 --time 0.01 --threads 1 --json)
check 'fields of attention' test "$(keys "$attention")" = "batch bench bound causal dim dropout first_ms floor_bytes_ms\
 floor_flops_ms floor_ms gflops heads kv_heads load_gb_per_second ms ms_min passes peak_bytes peak_gflops peak_of\
 percent_of_peak rss_growth_bytes seq_len threads tokens_per_second train working_set_bytes "
# 3.5 times 4 operations, 3 rows * 15 pairs * 4 heads * 8
check 'operations of attention' holds "$attention" '(.gflops * .ms * 1e6 / (14 * 3 * 15 * 32) - 1) | fabs < 1e-6'
check 'bytes of attention' holds "$attention" '(.floor_bytes_ms * .load_gb_per_second * 1e6 / (4 * 15 * 8 * 6 * (4 + 2)) - 1) | fabs < 1e-6'
check 'all pairs' holds "$(recur bench attention --dim 8 --batch 3 --seq-len 5 --time 0.01 --threads 1 --json)" \
    '(.gflops * .ms * 1e6 / (4 * 3 * 25 * 32) - 1) | fabs < 1e-6'

# every option of the layers reaches them
for options in '--skip residual --layers 2' '--skip highway --layers 2' --learn-initial-state '--dropout 0.1 --layers 2' \
    '--dropout 0.1 --layers 2 --dropout-sequence' '--recurrent-dropout 0.1' '--zoneout 0.1 --zoneout-c 0.1' '--weight-drop 0.1'; do
    check "$options" holds "$(recur bench rnn $small --batch 2 --seq-len 3 --train $options)" '.ms > 0'
done
check 'table' grep -q '^gru .*one step' <(recur bench --seq-len 1 --time 0.01 --threads 1)

mask 's/[0-9]+(\.[0-9]+)?/N/g'
mask 's/N[kM]/N/g'
mask 's/N ([KM]iB|bytes|B)/N B/g'
mask 's/\(multiply and add,/(fma,/'
t 'recur bench rnn --hidden 8 --time 0.01 --threads 1'
t 'recur bench step --hidden 8 --time 0.01 --threads 1'
t 'recur bench attention --dim 8 --seq-len 5 --causal --time 0.01 --threads 1'
t 'recur bench attention --hidden 8'
t 'recur bench attention --heads 4 --kv-heads 3'
t 'recur bench rnn --causal'
finish
