/* replay.c - runs kept inputs through the readers, with any compiler.
 *
 *   fuzz_replay FOLDER NAME...       every file in FOLDER/corpus/NAME and FOLDER/crashers/NAME; the names must be those
 *                                    of the table, so that no reader is without its libFuzzer target
 *   fuzz_replay --seeds FOLDER       writes the seeds into FOLDER/corpus/NAME/
 *   fuzz_replay --one NAME FILE...   these files, with the message that each gives */
#include "readers.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const reader *find(const char *name) {
    for (size_t i = 0; i < n_readers; i++)
        if (!strcmp(readers[i].name, name)) return &readers[i];
    return NULL;
}

static bool run_file(const reader *r, const char *path, bool tell) {
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || stat(path, &st) != 0) {
        perror(path);
        return false;
    }
    size_t len = (size_t)st.st_size;
    unsigned char *data = malloc(len + 1);
    bool read = data && fread(data, 1, len, f) == len;
    fclose(f);
    rc_status s = RC_OK;
    rc_error e;
    const char *wrong = read ? reader_run(r, data, len, &s, &e) : "cannot be read";
    if (wrong) printf("%s: %s\nagain: fuzz_replay --one %s %s\n", path, wrong, r->name, path);
    if (tell && !wrong) printf("%s: %s: %s\n", path, rc_status_name(s), s == RC_OK ? "taken" : e.text);
    free(data);
    return !wrong;
}

/* Every file of a folder; false when one is wrong. An absent folder has none. */
static bool run_folder(const reader *r, const char *folder, size_t *count) {
    DIR *d = opendir(folder);
    bool ok = true;
    if (!d) return true;
    for (struct dirent *f; (f = readdir(d));) {
        char path[1024];
        if (f->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, f->d_name);
        if (!run_file(r, path, false)) ok = false;
        ++*count;
    }
    closedir(d);
    return ok;
}

static int write_seeds(const char *folder) {
    char path[1024];
    for (size_t i = 0; i < n_readers; i++) {
        size_t len;
        unsigned char *data = reader_seed(&readers[i], &len);
        if (!data) return 1;
        snprintf(path, sizeof path, "%s/corpus", folder);
        mkdir(path, 0777);
        snprintf(path, sizeof path, "%s/corpus/%s", folder, readers[i].name);
        mkdir(path, 0777);
        snprintf(path, sizeof path, "%s/corpus/%s/seed-%s", folder, readers[i].name, readers[i].seed);
        FILE *f = fopen(path, "wb");
        bool ok = f && fwrite(data, 1, len, f) == len;
        if (!f || fclose(f) != 0 || !ok) {
            perror(path);
            return 1;
        }
        free(data);
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "--seeds")) return write_seeds(argv[2]);
    bool ok = true;
    if (argc > 3 && !strcmp(argv[1], "--one")) {
        const reader *r = find(argv[2]);
        if (!r) return fprintf(stderr, "no reader is called %s\n", argv[2]), 2;
        for (int i = 3; i < argc; i++) ok = run_file(r, argv[i], true) && ok;
        return !ok;
    }
    if (argc < 3)
        return fprintf(stderr, "usage: fuzz_replay FOLDER NAME... | --seeds FOLDER | --one NAME FILE...\n"), 2;
    for (size_t i = 0; i < n_readers; i++) {
        int k = 2;
        while (k < argc && strcmp(argv[k], readers[i].name) != 0) k++;
        if (k == argc) return printf("fuzz/CMakeLists.txt does not name %s\n", readers[i].name), 1;
    }
    for (int k = 2; k < argc; k++) {
        const reader *r = find(argv[k]);
        if (!r) return printf("fuzz/CMakeLists.txt names %s, which is in no line of the table\n", argv[k]), 1;
        size_t seeds = 0, crashers = 0;
        char path[1024];
        snprintf(path, sizeof path, "%s/corpus/%s", argv[1], argv[k]);
        ok = run_folder(r, path, &seeds) && ok;
        snprintf(path, sizeof path, "%s/crashers/%s", argv[1], argv[k]);
        ok = run_folder(r, path, &crashers) && ok;
        printf("%-12s %3zu inputs, %3zu former crashers\n", argv[k], seeds, crashers);
        if (seeds == 0) return printf("%s/corpus/%s is empty\n", argv[1], argv[k]), 1;
    }
    return !ok;
}
