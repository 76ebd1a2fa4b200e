#!/bin/bash
# Every symbol of the static library starts with rc_; the shared library shows exactly the functions of the headers.
set -euo pipefail
export LC_ALL=C
status=0
strange=$(nm -g --defined-only "$BUILD/librecur.a" | awk 'NF == 3 { print $3 }' | grep -v '^rc_' || true)
if [ -n "$strange" ]; then
    echo "librecur.a: symbols without the prefix rc_:"
    echo "$strange"
    status=1
fi
declared=$(sed -n 's/^    \(rc_[a-z0-9_]*\);$/\1/p' "$BUILD/recur.map" | sort)
exported=$(nm -D --defined-only "$BUILD/librecur.so" | awk '{ print $3 }' | sed 's/@.*//' | sort)
missing=$(comm -23 <(echo "$declared") <(echo "$exported"))
extra=$(comm -13 <(echo "$declared") <(echo "$exported"))
if [ -n "$missing" ]; then
    echo "declared in include/recur, but defined nowhere:"
    echo "$missing"
    status=1
fi
if [ -n "$extra" ]; then
    echo "librecur.so: shown, but declared in no public header:"
    echo "$extra"
    status=1
fi
[ "$(echo "$declared" | wc -l)" -gt 20 ] || { echo "hardly any declaration was found: the test is broken"; status=1; }
exit $status
