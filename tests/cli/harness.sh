# The harness itself: another output must fail, and a condition that does not hold must fail.
. "$(dirname "$0")/lib.sh"
mkdir expect
cat >wrong.sh <<END
. "$here/lib.sh"
t 'echo one'
finish
END
printf '$ echo one\none\n[exit 0]\n\n' >expect/wrong.txt
check 'the right output passes' env -u RECUR_ACCEPT RECUR_EXPECT=$PWD/expect bash wrong.sh
printf '$ echo one\ntwo\n[exit 0]\n\n' >expect/wrong.txt
env -u RECUR_ACCEPT RECUR_EXPECT="$PWD/expect" bash wrong.sh >out
check 'another output fails' test $? = 1
check 'and shows the difference' grep -q '^+one' out
check 'and how to run it again' grep -q '^again: ' out
printf '. "%s/lib.sh"\ncheck no false\nfinish\n' "$here" >wrong.sh
: >expect/wrong.txt
env -u RECUR_ACCEPT RECUR_EXPECT="$PWD/expect" bash wrong.sh >out
check 'a condition that does not hold fails' test $? = 1

# The command line is a user of the library like any other: public headers alone.
private=$(grep -hE '^ *# *include "' "$here"/../../cli/*.[ch] | grep -vE '"(recur/[a-z]+|[a-z]+)\.h"')
check "the command line includes public headers alone: $private" test -z "$private"
finish
