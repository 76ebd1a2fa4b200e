# Ctrl-C: the step is finished, a checkpoint saved, and the command that is printed goes on from there.
. "$(dirname "$0")/lib.sh"
make_text 400 >text.txt
small="--hidden 16 --layers 1 --batch 4 --seq-len 16"
for signal in INT TERM; do
    # a background job of a shell without job control ignores SIGINT; env restores it
    env --default-signal=INT recur train lm text.txt -o m$signal.safetensors --time 60s --run "run $signal" $small --json >out$signal 2>err$signal &
    pid=$!
    for _ in $(seq 100); do
        grep -q 'tokens/s' err$signal && break
        sleep 0.1
    done
    kill -$signal $pid
    wait $pid
    code=$?
    check "$signal: exit 5" test $code = 5
    check "$signal: the message" grep -q 'interrupted after step [1-9]' err$signal
    check "$signal: JSON says so" jq -e '.interrupted' out$signal
    command=$(sed -n 's/^  recur train lm --resume/recur train lm --resume/p' err$signal)
    check "$signal: the command names the run" test "$command" = "recur train lm --resume 'run $signal'"
    eval "$command --time 1s --quiet --json" >resumed$signal 2>resumed.err
    check "$signal: it goes on" test $? = 0
    check "$signal: it went further" test "$(jq .steps resumed$signal)" -ge "$(jq .steps out$signal)"
    check "$signal: the model is there" test -s m$signal.safetensors
done
# twice: leaves at once
env --default-signal=INT recur train lm text.txt -o m.safetensors --time 60s --run run3 --hidden 1024 --layers 8 --batch 64 --seq-len 256 >out 2>err &
pid=$!
sleep 1.5
kill -INT $pid
sleep 0.2
kill -INT $pid 2>/dev/null
wait $pid
code=$?
check 'twice: at once' test $code = 130 -o $code = 5
finish
