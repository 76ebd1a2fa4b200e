#!/bin/bash
# header.sh INCLUDE_DIR NAME: a public header compiles alone, twice, as strict C11 and as C++17, and gives a program that
# uses nothing else.
set -euo pipefail
text="#include \"recur/$2\"
#include \"recur/$2\"
int main(void);
int main(void) { return 0; }"
"$CC" -x c -std=c11 -Wall -Wextra -pedantic -Wstrict-prototypes -Werror -fsyntax-only -I "$1" - <<< "$text"
"$CXX" -x c++ -std=c++17 -Wall -Wextra -pedantic -Werror -fsyntax-only -I "$1" - <<< "${text/'int main(void);'/}"
