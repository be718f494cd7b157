/* A file layer that fails: preloaded (LD_PRELOAD) into a process, it counts what the process does to the files below
 * FAULT_ROOT, and at the operation FAULT_AT, counted from 1, it does what FAULT_KIND says:
 *
 *   full      the disk is full from here on: no file is created, nothing is written (ENOSPC); reading, removing, renaming work
 *   readonly  the file system is read-only from here on: every change fails (EROFS)
 *   error     this one operation fails (EIO)
 *   kill      the process dies before the operation (SIGKILL), as in a power failure
 *
 * Counted are: open for writing, write, pwrite, writev, ftruncate, fsync, rename, unlink, rmdir, mkdir. FAULT_COUNT names a file to
 * which each operation is appended; without FAULT_AT nothing fails. Pages written through a mapping are not seen.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum operation { CREATE, WRITE, SYNC, RENAME, REMOVE };
static const char *const names[] = {"create", "write", "sync", "rename", "remove"};

static atomic_long seen;
static pid_t counted_for;

static int is_below(const char *path) {
    const char *root = getenv("FAULT_ROOT");
    char full[2 * PATH_MAX];
    if (!root || !path) return 0;
    if (path[0] == '/') snprintf(full, sizeof full, "%s", path);
    else {
        char here[PATH_MAX];
        if (!getcwd(here, sizeof here)) return 0;
        snprintf(full, sizeof full, "%s/%s", here, path);
    }
    size_t length = strlen(root);
    return strncmp(full, root, length) == 0 && (full[length] == '/' || full[length] == 0);
}

static int handle_is_below(int handle, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0 || path[0] != '/') return 0; /* a pipe, a socket, an event counter */
    path[length] = 0;
    return is_below(path);
}

static void record(enum operation operation, const char *path) {
    const char *file = getenv("FAULT_COUNT");
    if (!file) return;
    char line[PATH_MAX + 32];
    int length = snprintf(line, sizeof line, "%s %s\n", names[operation], path);
    int handle = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (handle < 0) return;
    syscall(SYS_write, handle, line, (size_t)length);
    syscall(SYS_close, handle);
}

/* Return the error with which an operation fails, or 0 where it is done. */
static int fault(enum operation operation, const char *path) {
    if (counted_for != getpid()) { counted_for = getpid(); atomic_store(&seen, 0); } /* a fork counts its own */
    long number = atomic_fetch_add(&seen, 1) + 1;
    record(operation, path);
    const char *at = getenv("FAULT_AT"), *kind = getenv("FAULT_KIND");
    if (!at || !kind) return 0;
    long first = atol(at);
    if (strcmp(kind, "kill") == 0 && number == first) kill(getpid(), SIGKILL);
    if (strcmp(kind, "error") == 0 && number == first) return EIO;
    if (strcmp(kind, "full") == 0 && number >= first && (operation == CREATE || operation == WRITE)) return ENOSPC;
    if (strcmp(kind, "readonly") == 0 && number >= first && operation != SYNC) return EROFS;
    return 0;
}

#define REAL(name) static typeof(&name) real; if (!real) real = (typeof(&name))dlsym(RTLD_NEXT, #name)

/* Return whether an operation on a path, or on an open file, fails; errno says how. */
static int path_fails(enum operation operation, const char *path) {
    return is_below(path) && (errno = fault(operation, path)) != 0;
}

static int handle_fails(enum operation operation, int handle) {
    char path[PATH_MAX];
    int saved = errno;
    if (handle <= 2 || !handle_is_below(handle, path)) { errno = saved; return 0; }
    return (errno = fault(operation, path)) != 0;
}

static int path_at_fails(enum operation operation, int folder, const char *path) {
    char below[PATH_MAX], full[2 * PATH_MAX];
    if (folder == AT_FDCWD || path[0] == '/') return path_fails(operation, path);
    if (!handle_is_below(folder, below)) return 0;
    snprintf(full, sizeof full, "%s/%s", below, path);
    return path_fails(operation, full);
}

static int writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)); }

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
        return writes(flags) && path_fails(CREATE, path) ? -1 : real(path, flags, mode); \
    }
#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        REAL(name); va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
        return writes(flags) && path_at_fails(CREATE, folder, path) ? -1 : real(folder, path, flags, mode); \
    }
#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) { \
        REAL(name); return strpbrk(mode, "wa+") && path_fails(CREATE, path) ? NULL : real(path, mode); \
    }
#define ON_HANDLE(result, name, operation, parameters, ...) \
    result name parameters { REAL(name); return handle_fails(operation, handle) ? -1 : real(__VA_ARGS__); }
#define ON_PATH(name, operation, parameters, ...) \
    int name parameters { REAL(name); return path_fails(operation, to) ? -1 : real(__VA_ARGS__); }
#define AT_PATH(name, operation, parameters, ...) \
    int name parameters { REAL(name); return path_at_fails(operation, folder, to) ? -1 : real(__VA_ARGS__); }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
FOPEN(fopen)
FOPEN(fopen64)
ON_HANDLE(ssize_t, write, WRITE, (int handle, const void *bytes, size_t count), handle, bytes, count)
ON_HANDLE(ssize_t, pwrite, WRITE, (int handle, const void *bytes, size_t count, off_t at), handle, bytes, count, at)
ON_HANDLE(ssize_t, pwrite64, WRITE, (int handle, const void *bytes, size_t count, off64_t at), handle, bytes, count, at)
ON_HANDLE(ssize_t, writev, WRITE, (int handle, const struct iovec *parts, int count), handle, parts, count)
ON_HANDLE(int, ftruncate, WRITE, (int handle, off_t length), handle, length)
ON_HANDLE(int, ftruncate64, WRITE, (int handle, off64_t length), handle, length)
ON_HANDLE(int, fsync, SYNC, (int handle), handle)
ON_PATH(rename, RENAME, (const char *from, const char *to), from, to)
ON_PATH(unlink, REMOVE, (const char *to), to)
ON_PATH(rmdir, REMOVE, (const char *to), to)
ON_PATH(mkdir, CREATE, (const char *to, mode_t mode), to, mode)
AT_PATH(unlinkat, REMOVE, (int folder, const char *to, int flags), folder, to, flags)
AT_PATH(mkdirat, CREATE, (int folder, const char *to, mode_t mode), folder, to, mode)

int renameat(int from_folder, const char *from, int folder, const char *to) {
    REAL(renameat); return path_at_fails(RENAME, folder, to) ? -1 : real(from_folder, from, folder, to);
}

/* These two return the error instead of setting errno. */
int posix_fallocate(int handle, off_t at, off_t length) {
    REAL(posix_fallocate); return handle_fails(WRITE, handle) ? errno : real(handle, at, length);
}

int posix_fallocate64(int handle, off64_t at, off64_t length) {
    REAL(posix_fallocate64); return handle_fails(WRITE, handle) ? errno : real(handle, at, length);
}
