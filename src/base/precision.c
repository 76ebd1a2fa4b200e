/* precision.c - names of precisions. */
#include <string.h>
#include "recur/base.h"

static const char *const names[] = {"fp32", "bf16", "int8"}; /* in the order of rc_precision */
#define COUNT (sizeof names / sizeof *names)

const char *rc_precision_name(rc_precision p) { return (size_t)p < COUNT ? names[(size_t)p] : "?"; }

bool rc_precision_find(const char *name, rc_precision *out) {
    for (size_t i = 0; name && i < COUNT; i++)
        if (strcmp(names[i], name) == 0) {
            *out = (rc_precision)i;
            return true;
        }
    return false;
}
