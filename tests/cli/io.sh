# Standard output that cannot be written, readers that leave, places that cannot be written.
. "$(dirname "$0")/lib.sh"
mask 's/header of [0-9]+/header of N/'
make_text 200 >text.txt
recur train lm text.txt -o m.safetensors --steps 5 --run r --hidden 8 --layers 1 --batch 4 --seq-len 16 --quiet
t 'recur --version >/dev/full'
t 'recur help --man >/dev/full'
t 'recur eval m.safetensors text.txt --json >/dev/full'
t 'recur predict m.safetensors >/dev/full'
t 'recur help --man | head -n 1; echo "${PIPESTATUS[0]}"'
t 'recur predict m.safetensors --length 1000000 | head -c 1 | wc -c; echo "${PIPESTATUS[0]}"'
t 'recur help --man >&-'
# a result that cannot be told must not lose the model
t 'recur train lm text.txt -o full.safetensors --steps 5 --run r2 --hidden 8 --layers 1 --batch 4 --seq-len 16 --quiet --json >/dev/full'
check 'the model was saved' test -s full.safetensors
head -c 1000 m.safetensors >cut.safetensors
t 'recur eval cut.safetensors text.txt'
t 'recur predict cut.safetensors'
t 'recur explain cut.safetensors'
: >empty
t 'recur train lm empty -o e --hidden 8'
t 'recur eval m.safetensors empty'
printf 'good line\nbad \377 line\n' >latin
t 'recur train lm latin -o e --hidden 8'
t 'recur eval m.safetensors latin'
head -c 60 <(gzip -c text.txt) >cut.gz
t 'recur train lm cut.gz -o e --hidden 8'
finish
