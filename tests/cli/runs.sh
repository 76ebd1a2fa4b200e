# A run folder: its config.json makes the same run again; two processes at once, folders that are lost, closed or replaced,
# disks that are full for everything that is written.
. "$(dirname "$0")/lib.sh"
mask 's/step-[0-9]+/step-N/; s/recur-compare-[A-Za-z0-9]+/recur-compare-N/'
make_text 400 >text.txt
make_text 40 >valid.txt
small="--hidden 16 --layers 1 --batch 4 --seq-len 16 --threads 1 --sample-length 0 --quiet"

# ---- config.json is the run: options of every kind, none at its default -------------------------------------------------
recur train lm text.txt --valid valid.txt -o first.safetensors --run first --cell lstm-peephole --layers 2 --hidden 20 \
    --embedding 12 --skip residual --no-bias --learn-initial-state --no-carry --init he --forget-bias 0.3 --vocab byte \
    --dropout 0.11 --dropout-output 0.07 --dropout-input 0.05 --dropout-embedding 0.03 --dropout-sequence \
    --recurrent-dropout 0.09 --zoneout 0.04 --zoneout-c 0.06 --weight-drop 0.08 --label-smoothing 0.013 \
    --weight-decay 0.0123456789012345 --batch 6 --seq-len 13 --accumulate 2 --optimizer rmsprop --momentum 0.7 --alpha 0.93 \
    --eps 1e-7 --lr 0.00123456789 --lr-groups 'head.*=0.7,rnn.*=1.3' --freeze 'embedding.*' --clip 0.77 --clip-value 0.3 \
    --schedule step --schedule-gamma 0.37 --schedule-every 0.21 --schedule-floor 0.031 --warmup 7 --average ema \
    --average-decay 0.95 --precision bf16 --steps 31 --valid-every 6 --seed 9007199254740991 --checkpoint-every 5 --keep 3 \
    --sample-every 4 --sample-length 9 --sample-prompt 'the "cat"' --patience 50 --threads 2 --quiet
check 'a run with options of every kind' test -s first.safetensors
recur train lm --config first/config.json --run second -o second.safetensors
check 'its config.json gives the same bits' cmp first.safetensors second.safetensors
check 'and the same samples' cmp first/samples.txt second/samples.txt
check 'and the same options' cmp <(jq 'del(.run, .out)' first/config.json) <(jq 'del(.run, .out)' second/config.json)
check 'which are not the defaults' test "$(jq -n --slurpfile a first/config.json --slurpfile b <(
    recur train lm text.txt --steps 1 --run plain -o plain.safetensors $small && cat plain/config.json) \
    '[$a[0] | to_entries[] | select(.value != $b[0][.key])] | length')" -ge 50
t 'recur train lm --config first/config.json'
recur train lm copy:T=5,n=3,k=4 -o src.safetensors --run src --steps 20 --optimizer sgd --lr 0.05 --seed 5 --clip-value 0.4 $small
recur train lm --config src/config.json --run src2 -o src2.safetensors
check 'of a source too' cmp src.safetensors src2.safetensors
recur train lm text.txt --epochs 0.7 --preset quick --hidden 24 --layers 1 --run pre -o pre.safetensors --sample-length 0 --quiet
recur train lm --config pre/config.json --run pre2 -o pre2.safetensors
check 'of a preset too' cmp pre.safetensors pre2.safetensors
recur train lm valid.txt --from first.safetensors --steps 6 --freeze 'head.*' --run tune -o tune.safetensors $small
recur train lm --config tune/config.json --run tune2 -o tune2.safetensors
check 'of fine-tuning too' cmp tune.safetensors tune2.safetensors

# ---- two at once ---------------------------------------------------------------------------------------------------------
# Waits until a run has written its first log: then it trains.
begin() {
    recur train lm text.txt -o "$1.safetensors" --run "$1" --time 60s --valid-every 100000 ${small% --quiet} 2>"$1.err" &
    pid=$!
    for _ in $(seq 200); do
        [ -s "$1/metrics.jsonl" ] && return
        sleep 0.05
    done
    echo "$name: the run $1 did not begin"
    failed=1
}
# Ends it as Ctrl-C does; its exit code.
end() {
    kill -TERM "$pid"
    wait "$pid"
}
begin live
t "recur train lm text.txt --run live --steps 5 $small"
t 'recur train lm --resume live'
t 'recur runs delete live'
kill -KILL $pid
wait $pid 2>err
t "recur train lm text.txt -o taken.safetensors --run live --steps 5 $small"
check 'a lock dies with its process' test -s taken.safetensors

pids=()
for i in 1 2 3 4 5; do
    recur train lm text.txt -o race$i.safetensors --run race --steps 30 $small 2>race$i.err &
    pids+=($!)
done
won=0
for i in 1 2 3 4 5; do wait "${pids[i - 1]}" && won=$((won + 1)); done
check 'of five that begin at once in one folder one trains' test $won = 1 -a "$(ls race?.safetensors | wc -l)" = 1
check 'and the others say why' test "$(grep -lE 'another training|holds the checkpoints' race?.err | wc -l)" = 4

# ---- a folder that is lost -----------------------------------------------------------------------------------------------
begin gone
rm -rf gone
end
check 'a run survives that its folder is deleted' test $? = 5
check 'and says so' grep -q '^gone: the run folder was deleted or moved while training; it is made anew' gone.err
check 'the new folder has all that is needed' recur train lm --resume gone --time 1s --quiet
check 'to end it' test -s gone.safetensors
begin moved
mv moved away
end
check 'or moved away' test $? = 5 -a -s moved/config.json -a ! -e away/checkpoints/step-00000001.safetensors
check 'the old one is free' recur train lm --resume away --time 0.2s --quiet -o away.safetensors
begin lock
rm lock/lock
end
check 'the lock alone' test $? = 5 -a -s lock/metrics.jsonl -a -e lock/lock
check 'which is no loss' test -z "$(grep 'made anew' lock.err)"
begin file
rm -rf file
echo precious >file
end
check 'a file in its place: refused' test $? = 4
t 'sed -n "/^recur train: /,\$p" file.err; cat file'
begin swapped
mv swapped elsewhere
recur train lm text.txt -o s.safetensors --run swapped --steps 5 $small
end
check 'another run in its place: refused' test $? = 4
t 'sed -n "/^recur train: /,\$p" swapped.err'
check 'which is as it was' test "$(ls swapped/checkpoints | grep -c step-)" = "$(ls swapped/checkpoints | grep -c 'step-0000000[1-5]')"

# Where root may write everywhere, another user runs what must be refused.
user=()
if [ "$(id -u)" = 0 ]; then
    chmod -R a+rwX "$work" && chmod a+x "$work"
    user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
fi
if "${user[@]}" test -w . -a -x "$RECUR"; then
    "${user[@]}" recur train lm text.txt -o ro.safetensors --run ro --time 60s --valid-every 100000 $small 2>ro.err &
    pid=$!
    for _ in $(seq 200); do [ -s ro/metrics.jsonl ] && break; sleep 0.05; done
    chmod a-w ro ro/checkpoints
    end
    check 'a folder that is closed while it trains: exit code 4' test $? = 4
    t 'sed -n "/^recur train: /,\$p" ro.err'
    chmod a+w ro ro/checkpoints
    check 'open again, the run goes on' "${user[@]}" recur train lm --resume ro --time 1s --quiet
fi

# ---- models that change while they are read ------------------------------------------------------------------------------
recur train lm text.txt -o big.safetensors --run big --hidden 512 --layers 2 --batch 4 --seq-len 16 --steps 1 --sample-length 0 --quiet
cp big.safetensors other.safetensors
cp big.safetensors short.safetensors
for i in $(seq 10); do
    recur predict short.safetensors --length 3 --prompt 'the ' >out 2>err &
    pid=$!
    cp other.safetensors new.safetensors && mv new.safetensors short.safetensors # renamed: one or the other
    wait $pid
    check 'replaced by renaming: never an error' test $? = 0
done
for cut in 0 7 100 100000 3000000; do
    cp other.safetensors short.safetensors
    recur predict short.safetensors --length 3 --prompt 'the ' >out 2>err &
    pid=$!
    truncate -s $cut short.safetensors
    wait $pid
    code=$?
    check "cut to $cut bytes while it is read: an error or none, no signal ($code)" test $code = 0 -o $code = 3 -o $code = 4
done

# ---- a full disk, for everything that is written -------------------------------------------------------------------------
# No file may grow beyond so many blocks of 512 bytes: as on a disk that is full.
full() (
    trap '' XFSZ
    ulimit -f "$1"
    shift
    "$@"
)
recur train lm text.txt --vocab bpe:300 -o bpe.safetensors --steps 2 --run bpe $small
echo old >tok.json
t 'full 2 recur export bpe.safetensors tok.json; cat tok.json'
cp first.safetensors kept.safetensors
cp first.safetensors kept.copy
t "full 4 recur train lm text.txt -o kept.safetensors --run tight --steps 20 --hidden 64 $small"
check 'the model that was there is there' cmp kept.safetensors kept.copy
check 'nothing half-written is left' test -z "$(find . -name '*.tmp*')"
check 'with room again it goes on' recur train lm --resume tight --quiet
check 'and ends' test -s kept.safetensors
echo old >g.svg
t "full 4 recur compare lm adding:T=5 --cells rnn,gru --steps 2 --hidden 40 --layers 1 --batch 4 --quiet --gradient-svg g.svg >out; cat g.svg"
check 'nothing of it is left either' test -z "$(find . -name '*.tmp*')"
for command in "train lm text.txt -o o.safetensors --steps 3 --run o --hidden 8 --layers 1" "explain first.safetensors" 'runs --dir .' \
    'runs compare first second' 'plan lm text.txt --probe 0.1 --hidden 8' 'predict first.safetensors --samples 2' \
    'compare lm text.txt --cells rnn,gru --steps 2 --hidden 8' 'eval first.safetensors text.txt' 'export bpe.safetensors e.json'; do
    rm -rf o
    recur $command >/dev/full 2>err
    check "to a full standard output: $command" test $? = 4
    check "and says so: $command" grep -qx 'recur: standard output: No space left on device' err
done
finish
