/* version.c - what is built in. It stands beside the kernels because it asks which of them are in use. */
#include <jansson.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <zlib.h>
#include "base/cpu.h"
#include "kernels/gemm.h"
#include "kernels/kernels.h"
#ifndef RC_DOUBLE
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <utf8proc.h>
#ifdef RC_HAVE_YAML
#include <yaml.h>
#endif
#endif

#if defined(__clang__)
#define COMPILER "Clang " __clang_version__
#define RUNTIME "LLVM libomp"
#else
#define COMPILER "GCC " __VERSION__
#define RUNTIME "GNU libgomp"
#endif

const char *rc_version(void) { return RC_VERSION; }

static char text[1024];
static size_t len;

#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
static void
add(const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text + len, sizeof text - len, format, args);
    va_end(args);
    if (n > 0) len += (size_t)n < sizeof text - len ? (size_t)n : sizeof text - len - 1;
}

static void build(void) {
    add("compiler:  %s\n", COMPILER);
    add("matrices:  %s\n", rc__gemm_backend());
    add("threads:   own pool, %d cores to use; products on one thread each (OpenMP %s, %s)\n", rc__cpu_cores(),
        _OPENMP >= 201811 ? "5" : "4.5", RUNTIME);
    add("kernels:   %s in use; built in: %s\n", rc__k->isa, RC_ISA_BUILT);
    if (rc__kernels_note()[0]) add("           %s\n", rc__kernels_note());
    if (rc__cpu_name()[0] || rc__cpu_features()[0]) add("processor: %s (%s)\n", rc__cpu_name(), rc__cpu_features());
    add("libraries: zlib %s, jansson %s", zlibVersion(), jansson_version_str());
#ifndef RC_DOUBLE
    add(", PCRE2 %d.%d, utf8proc %s", PCRE2_MAJOR, PCRE2_MINOR, utf8proc_version());
#ifdef RC_HAVE_YAML
    add(", libyaml %s", yaml_get_version_string());
#endif
#endif
    add("\n");
#ifdef RC_DEBUG
    add("debug:     assertions on\n");
#endif
}

const char *rc_build_info(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, build);
    return text;
}
