#!/bin/bash
# bench/table.py with peers that are played: one answers, one dies, one is not there. RECUR and SOURCE name program and tree.
set -euo pipefail
command -v python3 > /dev/null || exit 77
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/python" << 'END'
#!/bin/bash
case "$1" in
*torch_rnn.py) # faster than anything: every point is a loss
    echo '{"peer": "PyTorch", "version": "0.0"}'
    while read -r line; do echo '{"ms": 1e-9, "first_ms": 1}'; done ;;
*jax_rnn.py)
    echo '{"peer": "JAX", "version": "0.0"}'
    read -r line
    kill -FPE $$ ;;
*) echo '{"peer": "?", "skip": "not installed"}' ;;
esac
END
chmod +x "$work/python"
table() { PYTHON= python3 "$SOURCE/bench/table.py" --recur "$RECUR" --onednn "$work/none" --python "$work/python" --quick --threads 1 \
    --seconds 0.01 --rounds 1 --shapes 2x3x8 --work train "$@"; }
failed=0
check() { grep -q -- "$1" "$work/out" || { echo "not printed: $1"; cat "$work/out"; failed=1; }; }

table --only rnn --cells lstm,gru --json "$work/out.json" > "$work/out" 2> /dev/null
check '^| lstm 1 x 8, batch 2, 3 steps | training, fp32, 1 thread |'
check '^| gru 1 x 8, batch 2'
check '\*\*0.00 loses\*\* (PyTorch) |$'
check '^2 points with a peer, 2 lost'
check '^- JAX: died of SIGFPE (2 points)$'
check '^- Keras: not installed (2 points)$'
check '^- oneDNN: .*/none: No such file or directory'
python3 - "$work/out.json" << 'END' || failed=1
import json, sys
d = json.load(open(sys.argv[1]))
record = d["sections"]["rnn"][0]
assert record["result"]["recur"]["ms"] > 0 and record["result"]["JAX"] == {"skip": "died of SIGFPE"}, record
assert d["peers"] == {"PyTorch": "0.0", "JAX": "0.0"} and not d["interrupted"], d
END

table --only lengths,options,step --cells lstm --peers none > "$work/out" 2> /dev/null
check "% of the full batch's rate"
check '`--weight-drop 0.2` |'
check '^| lstm 1 x 8, batch 1 | inference, fp32, 1 thread |'
if table --only nonsense > "$work/out" 2>&1; then echo "an unknown section is taken"; failed=1; fi
exit $failed
