# From text to model and back: train, eval, predict, explain, plan, compare, runs, resume, fine-tune, on a small text.
. "$(dirname "$0")/lib.sh"
make_text 400 >text.txt
make_text 40 >valid.txt
small="--hidden 16 --layers 1 --batch 4 --seq-len 16 --threads 1"
mask 's/[0-9.]+[kM]? tokens\/s/N tokens\/s/; s/ in [0-9.]+s/ in TIME/; s/[0-9.]+s left/TIME left/; s/  [0-9.]+s$/  TIME/'
mask 's/ {2,}/  /g'
mask 's/-?[0-9]+\.[0-9]+(e-?[0-9]+)?/X/g; s/"(seconds|tokens_per_second)": [0-9]+/"\1": X/g'
mask 's/[+]X/X/g'

t "recur train lm text.txt -o m.safetensors --steps 40 --run run1 $small --quiet"
check 'the model is there' test -s m.safetensors
check 'the run folder has its settings' jq -e '.hidden == 16' run1/config.json
t "recur train lm text.txt -o m.safetensors --steps 40 --run run2 $small --quiet --json | jq -c '[keys_unsorted, .steps, .interrupted, .run]'"
recur train lm text.txt -o a.safetensors --steps 20 --run run3 $small >out 2>err
check 'the result goes to standard output' grep -q '^model  ' out
check 'progress goes to standard error' grep -q 'tokens/s' err
check 'a pipe gets no control characters' test -z "$(tr -d '\n\t -~' <err | tr -d '\200-\377')"
check 'a validation line' grep -qE '^step 20 .* valid [0-9.]+' err
check 'a sample' grep -q '^sample at step' err

echo '{"steps": 20, "hidden": 16, "layers": 1, "batch": 4, "seq-len": 16, "quiet": true, "files": ["text.txt"]}' >c.json
recur train lm --config c.json -o b.safetensors --run run4 --layers 2
check 'a file of options, and the command line wins' test "$(jq -c '[.hidden, .layers, .files]' run4/config.json)" = '[16,2,["text.txt"]]'
recur train lm --config run4/config.json -o c.safetensors --run run5
check "a run's config.json is a file of options" jq -e '.layers == 2' run5/config.json

check 'without -o the model is in the run folder' test "$(recur train lm text.txt --steps 2 --run own $small --quiet --json | jq -r .model)" = own/model.safetensors
check 'and it is there' test -s own/model.safetensors

# the net of an experiment is no language model, and says so
recur train lm adding:T=5 -o net.safetensors --steps 2 --run net $small --quiet
t 'recur explain net.safetensors'

# inputs
gzip -k text.txt
cat text.txt | recur train lm - -o s.safetensors --steps 5 --run run6 $small --quiet
check 'standard input' test -s s.safetensors
recur train lm text.txt.gz -o z.safetensors --steps 5 --run run7 $small --quiet
check 'gzip gives the same model' cmp -s <(recur predict s.safetensors --seed 3) <(recur predict z.safetensors --seed 3)
t "recur train lm text.txt --vocab byte -o byte.safetensors --steps 5 --run byte $small --quiet"
t "recur train lm text.txt --vocab word -o word.safetensors --steps 5 --run word $small --quiet"
t "recur train lm text.txt --vocab bpe:300 -o bpe.safetensors --steps 5 --run bpe $small --quiet"

# bf16
t "recur train lm text.txt -o bf.safetensors --precision bf16 --steps 5 --run bf $small 2>&1 | grep -E '^precision:' | sed -E 's/(bf16) .*/\\1 .../'"
t "recur train lm text.txt -o bad --precision int8 $small"
check 'the run knows its precision' test "$(jq -r .precision bf/config.json)" = bf16
check 'the model knows it' grep -aq '"precision": *"bf16"' <(tr -d '\\' <bf.safetensors)
check 'a model is fp32' test "$(recur eval bf.safetensors text.txt --json | jq -r .precision)" = fp32
check 'plan names the precision' grep -q '^precision  *bf16' <(recur plan lm text.txt --precision bf16 --probe 0.1 $small)

# eval
t 'recur eval m.safetensors valid.txt --json | jq -c "[keys_unsorted, .unit, .count]"'
t 'recur eval m.safetensors valid.txt'
t 'recur eval byte.safetensors valid.txt --json | jq -c "[.unit, .count, has(\"bpc\"), has(\"bits_per_byte\")]"'
t 'recur eval word.safetensors valid.txt --json | jq -c "[.unit, .count]"'
t 'recur eval bpe.safetensors valid.txt --json | jq -c "[.unit, .bytes]"'
t 'recur eval m.safetensors valid.txt --dynamic --json | jq -c "[.unit, (.dynamic | has(\"nats\"))]"'
t 'recur eval m.safetensors valid.txt --precision int8'
t 'recur eval m.safetensors valid.txt --precision int8 --json | jq -c "[.precision, (.fp32 | keys_unsorted), (.change | fabs < 0.05)]"'
check 'the change is that of nats' test "$(recur eval m.safetensors valid.txt --precision int8 --json | jq '(.nats - .fp32.nats - .change | fabs) < 2e-6 and .change != 0')" = true
check 'fp32 beside int8 is that of fp32' test "$(recur eval m.safetensors valid.txt --precision int8 --json | jq .fp32.nats)" = "$(recur eval m.safetensors valid.txt --json | jq .nats)"
t 'recur eval m.safetensors valid.txt --precision int8 --dynamic'
t 'recur eval m.safetensors valid.txt --precision bf16 --dynamic --json | jq -c "[.precision, (.dynamic | has(\"nats\"))]"'
t 'recur eval m.safetensors valid.txt --precision int4'
check 'windows score as many' test "$(recur eval m.safetensors valid.txt --window 10 --json | jq .window)" = 10
check 'standard input' test "$(recur eval m.safetensors - --json <valid.txt | jq .nats)" = "$(recur eval m.safetensors valid.txt --json | jq .nats)"
check 'perplexity = exp(nats)' recur eval m.safetensors valid.txt --json <valid.txt >e.json
check 'perplexity = exp(nats)' jq -e '((.nats | exp) - .perplexity | fabs) < 1e-4 * .perplexity' e.json
check 'bits = nats / ln 2' jq -e '(.nats / (2 | log) - .bpc | fabs) < 1e-6' e.json

# predict
check 'same seed, same text' cmp -s <(recur predict m.safetensors --prompt 'the ' --seed 7) <(recur predict m.safetensors --prompt 'the ' --seed 7)
check 'the prompt comes first' test "$(recur predict m.safetensors --prompt 'the ' --length 5 | head -c 4)" = 'the '
check 'without the prompt' test "$(recur predict m.safetensors --prompt 'the ' --length 5 --no-echo --json | jq -r '.samples[0]')" = \
    "$(recur predict m.safetensors --prompt 'the ' --length 5 --no-echo)"
check 'a prompt from standard input' cmp -s <(printf 'the ' | recur predict m.safetensors -) <(recur predict m.safetensors --prompt 'the ')
check 'samples' test "$(recur predict m.safetensors --prompt 'the ' --samples 3 --json | jq '.samples | length')" = 3
check 'a sample is the same alone' test "$(recur predict m.safetensors --prompt 'the ' --samples 3 --json | jq .samples[0])" = \
    "$(recur predict m.safetensors --prompt 'the ' --json | jq .samples[0])"
check 'int8 predicts, and the same each time' cmp -s <(recur predict m.safetensors --precision int8 --seed 7) <(recur predict m.safetensors --precision int8 --seed 7)
check 'int8 writes something' test "$(recur predict m.safetensors --precision int8 --length 20 --no-echo --json | jq -r '.samples[0] | length')" = 20
check 'stop' test "$(recur predict m.safetensors --prompt 'the ' --stop '\n' --stop ' ' --json | jq -r '.samples[0] | test("[ \n]")')" = false
t 'recur predict m.safetensors --prompt "the " --length 0'
t 'recur predict m.safetensors --prompt "日本" --length 0'
t 'recur predict m.safetensors "the cat"'
t 'recur train lm text.txt -o nan.safetensors --cell rnn-relu --optimizer sgd --lr 1000 --clip 0 --steps 200 --run nan --hidden 16 --layers 1 --quiet 2>&1 | sed "s/step [0-9]*: .*/step N/"; echo "${PIPESTATUS[0]}"'
t 'recur predict byte.safetensors --length 20 --json | jq ".samples | length"'
check 'greedy has no chance in it' cmp -s <(recur predict m.safetensors --temperature 0 --seed 1) <(recur predict m.safetensors --temperature 0 --seed 2)

# export
t 'recur export bpe.safetensors tokenizer.json'
recur train lm text.txt --vocab tokenizer.json -o again.safetensors --steps 5 --run again $small --quiet
check 'a tokenizer written and read is the same one' test "$(recur eval again.safetensors valid.txt --json | jq -c '[.nats, .count]')" = \
    "$(recur eval bpe.safetensors valid.txt --json | jq -c '[.nats, .count]')"
t 'recur export m.safetensors m.json && jq -r .model.type m.json'

# explain, plan
t 'recur explain m.safetensors --json | jq -c "[keys_unsorted, .cell, .layers, .vocabulary]"'
check 'explain in int8' test "$(recur explain m.safetensors --precision int8 --json | jq '[.precision == "int8", (.sequence + .step | .[] | contains("int8 weights with a scale per row"))] | all')" = true
check 'explain in bf16 says how' test "$(recur explain m.safetensors --precision bf16 --json | jq '[.sequence + .step | .[] | test("bf16 products with|bf16 by widening: ")] | all')" = true
check 'explain in fp32 says so' test "$(recur explain m.safetensors --json | jq '[.sequence + .step | .[] | contains(", fp32, ")] | all')" = true
check 'explain names each layer' test "$(recur explain b.safetensors --json | jq '.sequence | length >= 2')" = true
check 'explain tells of the softmax' grep -q '^  softmax: 16 -> ' <(recur explain m.safetensors)
check 'explain tells what is built in' grep -q 'kernels: ' <(recur explain m.safetensors)
t "recur plan lm text.txt --probe 0.1 --json $small | jq -c '[keys_unsorted, .parameters > 100, .tokens_per_second > 0]'"
check 'plan for people' grep -q 'tokens/s' <(recur plan lm text.txt --probe 0.1 $small)
check 'plan is quiet' test -z "$(recur plan lm text.txt --quiet --probe 0.1 $small 2>&1 >out)"
check 'plan writes nothing' test ! -e runs

# compare
t "recur compare lm text.txt --cells rnn,lstm --steps 10 $small --json --quiet | jq -c '[.results[] | [.cell, .steps, .parameters > 100, .loss > 0]]'"
check 'comparisons leave no runs' test ! -e runs
recur compare lm text.txt --cells rnn,gru --steps 10 $small --quiet --run cmp >out
check 'a row for each cell' test "$(grep -cE '^(rnn|gru) ' out)" = 2
check '--run keeps them' test -e cmp/rnn/config.json -a -e cmp/gru/config.json
recur compare lm adding:T=5 adding:T=8 --cells rnn,gru --steps 5 $small --quiet --gradient-svg g.svg >out
check 'a row for each source' test "$(grep -cE '^adding:T=[58] ' out)" = 2
check 'gradients at each distance' grep -qE '^ +7 ' out
check 'a picture' grep -q '</svg>' g.svg

# runs
t 'recur runs --dir . --json | jq -c ".runs | length > 5"'
check 'runs lists them' grep -qE '^(\./)?run1 +done +lstm' <(recur runs --dir .)
mkdir -p bare/old/checkpoints
echo '{}' >bare/old/config.json
t 'recur runs --dir bare'
recur runs compare run3 run4 >out
recur runs compare run3 byte >both
check 'steps done and steps set are two rows' test "$(grep -cE '^steps( done)?  ' both)" = 2
check 'comparison shows what differs' grep -qE '^layers +1 +2$' out
t 'recur runs delete run1 run2'
check 'they are gone' test ! -e run1 -a ! -e run2
t 'recur runs delete run1'

# fine-tuning
recur train lm valid.txt --from m.safetensors -o f.safetensors --steps 5 --run fine $small --json --quiet >f.json
recur train lm valid.txt --from m.safetensors -o f.safetensors --steps 2 --run fine2 --hidden 32 --dropout 0.3 --lr 0.001 --seq-len 16 2>err >out
check 'what --from ignores is told' grep -qx "no effect with --from, the model's own are kept: --hidden, --dropout" err
recur train lm text.txt --config run3/config.json --optimizer sgd --steps 2 --run again2 -o g.safetensors --quiet
check 'options of a config file may be without effect' test -s g.safetensors
recur train lm text.txt --momentum 0 --beta1 0.9 --optimizer rmsprop --alpha 0.9 --schedule step --schedule-gamma 0.3 --no-bias --run sched \
    --steps 4 $small --quiet
check 'the new options are in config.json' jq -e '.alpha == 0.9 and ."schedule-gamma" == 0.3 and .bias == false' sched/config.json
t 'recur train lm --resume sched --layers 2'
check 'and survive resuming' recur train lm --resume sched --steps 6 --quiet
check 'which keeps them' test "$(recur explain sched/model.safetensors --tensors | grep -c 'rnn.bias')" = 0
check 'old and new loss' jq -e '.new_valid_loss_before > 0 and .valid_loss > 0' f.json
finish
