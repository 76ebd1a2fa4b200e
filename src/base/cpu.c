/* cpu.c - cores and memory the process may use, the processor's name and features. */
#include "base/cpu.h"
#include <ctype.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* Quota over period of a control group, rounded up; 0 = no limit. A container with "--cpus 2" on a large machine sees all
 * its cores in the affinity mask; threads beyond the quota would only be throttled. */
static int quota_cores(void) {
    long long quota = 0, period = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re"); /* version 2: "200000 100000" or "max 100000" */
    if (f) {
        if (fscanf(f, "%lld %lld", &quota, &period) != 2) quota = 0;
        fclose(f);
    } else {
        f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re");
        if (f) {
            if (fscanf(f, "%lld", &quota) != 1) quota = 0;
            fclose(f);
        }
        f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re");
        if (f) {
            if (fscanf(f, "%lld", &period) != 1) period = 0;
            fclose(f);
        }
    }
    if (quota <= 0 || period <= 0) return 0;
    long long cores = (quota + period - 1) / period;
    return cores > 1 << 20 ? 0 : (int)cores;
}

int rc__cpu_cores(void) {
    int n = 0;
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) n = CPU_COUNT(&set);
#endif
    if (n < 1) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        n = online > 0 && online < 1 << 20 ? (int)online : 1;
    }
    int limit = quota_cores();
    return limit > 0 && limit < n ? limit : n;
}

size_t rc__cpu_l2_bytes(void) {
    static _Atomic long found; /* asked once: the system reads it anew each time */
    long n = found;
    if (n) return (size_t)n;
#ifdef _SC_LEVEL2_CACHE_SIZE
    n = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    if (n <= 0) n = 1 << 20;
    found = n;
    return (size_t)n;
}

/* The number behind `key` in a file of lines "key number ..."; key "" is the file's first word. UINT64_MAX: none. */
static uint64_t number_in(const char *path, const char *key) {
    char line[256];
    uint64_t n = UINT64_MAX;
    size_t len = strlen(key);
    FILE *f = fopen(path, "re");
    while (f && n == UINT64_MAX && fgets(line, sizeof line, f)) {
        char *end, *at = line + len;
        if (strncmp(line, key, len) != 0) continue;
        unsigned long long v = strtoull(at, &end, 10);
        if (end != at) n = v; /* "max" is no number: no limit */
    }
    if (f) fclose(f);
    return n;
}

/* What a control group has left. Pages of files count as used there and go when they are needed. */
static uint64_t group_room(const char *limit_file, const char *used_file, const char *stat_file, const char *pages) {
    uint64_t limit = number_in(limit_file, ""), used = number_in(used_file, ""), cached = number_in(stat_file, pages);
    if (limit == UINT64_MAX || used == UINT64_MAX) return UINT64_MAX;
    if (cached == UINT64_MAX) cached = 0;
    used = used > cached ? used - cached : 0;
    return limit > used ? limit - used : 0;
}

size_t rc_memory_room(void) {
    uint64_t room = number_in("/proc/meminfo", "MemAvailable:"), swap = number_in("/proc/meminfo", "SwapFree:");
    if (room != UINT64_MAX) room = (room + (swap == UINT64_MAX ? 0 : swap)) << 10;
    uint64_t v2 = group_room("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat",
                             "file ");
    uint64_t v1 = group_room("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes",
                             "/sys/fs/cgroup/memory/memory.stat", "total_cache ");
    if (v2 < room) room = v2;
    if (v1 < room) room = v1;
    return room < SIZE_MAX ? (size_t)room : SIZE_MAX;
}

bool rc__cpu_has_bf16(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

/* AMD's start as many as FMAs, each of twice the work. Intel's with matrix tiles start one every other cycle, a quarter of the
 * FMAs: 93-105 GFLOP/s a core beside 190-215 of fp32 on a model 207, the one that was measured. Cooper Lake (family 6, model
 * 0x55) has no tiles and is taken to be as AMD's; it was not measured. */
bool rc__cpu_bf16_pays(void) {
#if defined(__x86_64__)
    unsigned a, b, c, d;
    if (!rc__cpu_has_bf16() || !__get_cpuid(0, &a, &b, &c, &d)) return false;
    if (b != signature_INTEL_ebx || c != signature_INTEL_ecx || d != signature_INTEL_edx) return true;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
    unsigned family = a >> 8 & 15, model = (a >> 4 & 15) | (a >> 12 & 0xf0);
    return family == 6 && model == 0x55;
#else
    return false;
#endif
}

static char name[128], features[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void look(void) {
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (f) {
        char line[512];
        while (fgets(line, sizeof line, f)) {
            char *colon = strchr(line, ':');
            if (!colon || strncmp(line, "model name", 10) != 0) continue;
            char *from = colon + 1;
            while (isspace((unsigned char)*from)) from++;
            from[strcspn(from, "\n")] = 0;
            snprintf(name, sizeof name, "%s", from);
            break;
        }
        fclose(f);
    }
#if defined(__x86_64__)
    __builtin_cpu_init();
    size_t n = 0;
#define HAS(feature)                                                                                                 \
    if (__builtin_cpu_supports(feature) && n < sizeof features)                                                       \
        n += (size_t)snprintf(features + n, sizeof features - n, n ? " %s" : "%s", feature);
    HAS("sse4.2")
    HAS("avx")
    HAS("avx2")
    HAS("fma")
    HAS("avx512f")
    HAS("avx512bw")
    HAS("avx512vl")
    HAS("avx512vnni")
    HAS("avx512bf16")
#undef HAS
#elif defined(__aarch64__)
    snprintf(features, sizeof features, "neon");
#endif
}

const char *rc__cpu_name(void) {
    pthread_once(&once, look);
    return name;
}
const char *rc__cpu_features(void) {
    pthread_once(&once, look);
    return features;
}
