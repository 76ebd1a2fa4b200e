/* trace.h - runs a program and stops it at one of its calls to the system: killed before it, killed after half of it, or
 * the call fails with an error of our choice. By ptrace, so the program is the one that ships.
 *
 * Counted are the calls of the main thread that change a file: opening to create, writing (not to the standard streams),
 * flushing to disk, cutting, renaming, removing, making a folder. Not in /dev/shm, where other libraries (an OpenMP runtime,
 * as it is loaded) have what is theirs. */
#ifndef TRACE_H
#define TRACE_H
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define TRACE_CHANGES_CALLS 1 /* rewriting a call needs the registers' names */
#endif

typedef enum trace_what {
    TRACE_COUNT, /* lets it run */
    TRACE_KILL,  /* SIGKILL instead of call `at` */
    TRACE_TORN,  /* SIGKILL after call `at`; a write has written half of its bytes by then */
    TRACE_ONCE,  /* the disk is full at call `at` alone */
    TRACE_FULL,  /* half of what call `at` writes fits, later calls fail; files can still be cut and removed */
} trace_what;

typedef struct trace_plan {
    trace_what what;
    long at; /* from 1 */
    int error;
} trace_plan;

typedef struct trace_result {
    long calls;     /* counted */
    int code;       /* exit code; -1: killed as planned; -2: by something else */
    char call[400]; /* what call `at` was */
} trace_result;

typedef enum trace_kind { TRACE_OTHER, TRACE_WRITE, TRACE_GROWS, TRACE_SHRINKS } trace_kind;

static inline bool trace_creates(uint64_t flags) { return (flags & O_CREAT) != 0; }

/* What kind of call it is, its name, and which argument is a path (-1: the first is a descriptor). */
static inline trace_kind trace_classify(const struct __ptrace_syscall_info *in, const char **name, int *path) {
    const uint64_t *a = (const uint64_t *)in->entry.args;
    *path = -1;
    switch (in->entry.nr) {
    case SYS_write: return *name = "write", a[0] > 2 ? TRACE_WRITE : TRACE_OTHER;
    case SYS_pwrite64: return *name = "pwrite", TRACE_WRITE;
    case SYS_writev: return *name = "writev", a[0] > 2 ? TRACE_GROWS : TRACE_OTHER;
    case SYS_fsync: return *name = "fsync", TRACE_GROWS;
    case SYS_fdatasync: return *name = "fdatasync", TRACE_GROWS;
    case SYS_ftruncate: return *name = "ftruncate", TRACE_SHRINKS;
    case SYS_openat: return *name = "open", *path = 1, trace_creates(a[2]) ? TRACE_GROWS : TRACE_OTHER;
    case SYS_renameat2: return *name = "rename", *path = 1, TRACE_GROWS;
    case SYS_mkdirat: return *name = "mkdir", *path = 1, TRACE_GROWS;
    case SYS_unlinkat: return *name = "unlink", *path = 1, TRACE_SHRINKS;
#ifdef SYS_open
    case SYS_open: return *name = "open", *path = 0, trace_creates(a[1]) ? TRACE_GROWS : TRACE_OTHER;
    case SYS_rename: return *name = "rename", *path = 0, TRACE_GROWS;
    case SYS_mkdir: return *name = "mkdir", *path = 0, TRACE_GROWS;
    case SYS_unlink: return *name = "unlink", *path = 0, TRACE_SHRINKS;
#endif
#ifdef SYS_renameat
    case SYS_renameat: return *name = "rename", *path = 1, TRACE_GROWS;
#endif
    default: return TRACE_OTHER;
    }
}

static inline void trace_describe(pid_t pid, const struct __ptrace_syscall_info *in, const char *name, int path, char *out,
                                  size_t cap) {
    char text[256] = "?", link[64];
    if (path >= 0) {
        struct iovec to = {text, sizeof text - 1}, from = {(void *)(uintptr_t)in->entry.args[path], sizeof text - 1};
        ssize_t n = process_vm_readv(pid, &to, 1, &from, 1, 0);
        text[n > 0 ? n : 0] = 0;
    } else {
        snprintf(link, sizeof link, "/proc/%ld/fd/%ld", (long)pid, (long)in->entry.args[0]);
        ssize_t n = readlink(link, text, sizeof text - 1);
        text[n > 0 ? n : 0] = 0;
    }
    snprintf(out, cap, "%s %s", name, text);
}

#ifdef TRACE_CHANGES_CALLS
static inline void trace_halve(pid_t pid) {
    struct user_regs_struct r;
    ptrace(PTRACE_GETREGS, pid, NULL, &r);
    r.rdx /= 2;
    ptrace(PTRACE_SETREGS, pid, NULL, &r);
}
static inline void trace_drop_call(pid_t pid) {
    struct user_regs_struct r;
    ptrace(PTRACE_GETREGS, pid, NULL, &r);
    r.orig_rax = (unsigned long long)-1;
    ptrace(PTRACE_SETREGS, pid, NULL, &r);
}
static inline void trace_return(pid_t pid, int error) {
    struct user_regs_struct r;
    ptrace(PTRACE_GETREGS, pid, NULL, &r);
    r.rax = (unsigned long long)-(long long)error;
    ptrace(PTRACE_SETREGS, pid, NULL, &r);
}
#else
static inline void trace_halve(pid_t pid) { (void)pid; }
static inline void trace_drop_call(pid_t pid) { (void)pid; }
static inline void trace_return(pid_t pid, int error) { (void)pid, (void)error; }
#endif

/* The program in a child that waits to be traced; its standard streams go to files. */
static inline pid_t trace_start(char *const argv[], const char *out, const char *err, bool traced) {
    pid_t pid = fork();
    if (pid != 0) return pid;
    int null = open("/dev/null", O_RDONLY), o = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0666),
        r = open(err, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    dup2(null, 0), dup2(o, 1), dup2(r, 2);
    close(null), close(o), close(r);
    if (traced && (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0)) _exit(126);
    execv(argv[0], argv);
    _exit(127);
}

static inline trace_result trace_end(pid_t pid, int status, trace_result r) {
    (void)pid;
    r.code = WIFEXITED(status) ? WEXITSTATUS(status) : WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? -1 : -2;
    return r;
}

static inline trace_result trace_kill(pid_t pid, trace_result r) {
    int status = 0;
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) == pid && !WIFEXITED(status) && !WIFSIGNALED(status)) {
    }
    return trace_end(pid, status, r);
}

static inline trace_result trace_run(char *const argv[], const char *out, const char *err, trace_plan plan) {
    trace_result r = {.code = -2};
    int status, pass = 0;
    pid_t pid = trace_start(argv, out, err, true);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) return r;
    ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    bool fails = false, dies = false;
    for (;;) {
        if (ptrace(PTRACE_SYSCALL, pid, NULL, pass) != 0 || waitpid(pid, &status, 0) != pid) return trace_kill(pid, r);
        if (WIFEXITED(status) || WIFSIGNALED(status)) return trace_end(pid, status, r);
        pass = 0;
        if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
            pass = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status); /* SIGTRAP: of execve */
            continue;
        }
        struct __ptrace_syscall_info in;
        if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof in, &in) <= 0) return trace_kill(pid, r);
        if (in.op == PTRACE_SYSCALL_INFO_EXIT) {
            if (fails) trace_return(pid, plan.error);
            fails = false;
            if (dies) return trace_kill(pid, r);
            continue;
        }
        const char *name = "";
        int path;
        trace_kind kind = in.op == PTRACE_SYSCALL_INFO_ENTRY ? trace_classify(&in, &name, &path) : TRACE_OTHER;
        if (kind == TRACE_OTHER) continue;
        char call[sizeof r.call];
        trace_describe(pid, &in, name, path, call, sizeof call);
        if (strstr(call, " /dev/shm/")) continue;
        bool now = ++r.calls == plan.at;
        if (now) memcpy(r.call, call, sizeof call);
        if (now && plan.what == TRACE_KILL) return trace_kill(pid, r);
        if (now && plan.what == TRACE_TORN) {
            if (kind == TRACE_WRITE) trace_halve(pid);
            dies = true;
        }
        bool full = plan.what == TRACE_FULL && r.calls >= plan.at && kind != TRACE_SHRINKS;
        if (now && full && kind == TRACE_WRITE) {
            trace_halve(pid);
        } else if ((now && plan.what == TRACE_ONCE && kind != TRACE_SHRINKS) || full) {
            trace_drop_call(pid);
            fails = true;
        }
    }
}

/* May this machine trace at all? */
static inline bool trace_works(void) {
    char *argv[] = {(char *)"/bin/true", NULL};
    return trace_run(argv, "/dev/null", "/dev/null", (trace_plan){TRACE_COUNT, 0, 0}).code == 0;
}
#endif
