/* target.c - a libFuzzer target; READER names the line of the table that it is for. */
#include "readers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const reader *r;
    for (size_t i = 0; !r && i < n_readers; i++)
        if (!strcmp(readers[i].name, READER)) r = &readers[i];
    rc_status s;
    rc_error e;
    const char *wrong = r ? reader_run(r, data, size, &s, &e) : "no such reader";
    if (wrong) {
        fprintf(stderr, "%s: %s\n", READER, wrong);
        abort();
    }
    return 0;
}
