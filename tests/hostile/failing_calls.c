/* Lets system calls fail for a program under LD_PRELOAD; see failing_calls.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <unistd.h>

#define REAL(name) dlsym(RTLD_NEXT, name)

static int strikes(const char *call, const char *path) {
    static int seen = 0;
    const char *wanted = getenv("FAIL_CALL"), *name = getenv("FAIL_NAME");
    const char *code = getenv("FAIL_ERRNO"), *first = getenv("FAIL_FIRST");
    const char *most = getenv("FAIL_TIMES");
    if (!wanted || !code || strcmp(wanted, call) || (name && !strstr(path, name)))
        return 0;
    int number = __sync_fetch_and_add(&seen, 1) - (first ? atoi(first) : 0);
    if (number < 0 || (most && number >= atoi(most)))
        return 0;
    if (!strcmp(code, "kill"))
        kill(getpid(), SIGKILL);
    errno = atoi(code);
    return 1;
}

static int strikes_fd(const char *call, int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    return strikes(call, path);
}

int fsync(int fd) {
    return strikes_fd("fsync", fd) ? -1 : ((int (*)(int))REAL("fsync"))(fd);
}

int fdatasync(int fd) {
    return strikes_fd("fsync", fd) ? -1 : ((int (*)(int))REAL("fdatasync"))(fd);
}

int fchmod(int fd, mode_t mode) {
    return strikes_fd("fchmod", fd) ? -1 : ((int (*)(int, mode_t))REAL("fchmod"))(fd, mode);
}

int flock(int fd, int how) {
    return strikes_fd("flock", fd) ? -1 : ((int (*)(int, int))REAL("flock"))(fd, how);
}

int unlinkat(int fd, const char *name, int flags) { /* by the folder's path */
    if (strikes_fd("unlinkat", fd))
        return -1;
    return ((int (*)(int, const char *, int))REAL("unlinkat"))(fd, name, flags);
}

ssize_t read(int fd, void *data, size_t size) {
    if (strikes_fd("read", fd))
        return -1;
    return ((ssize_t (*)(int, void *, size_t))REAL("read"))(fd, data, size);
}

ssize_t write(int fd, const void *data, size_t size) {
    if (strikes_fd("write", fd))
        return -1;
    return ((ssize_t (*)(int, const void *, size_t))REAL("write"))(fd, data, size);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    if (strikes_fd("write", fd))
        return -1;
    return ((ssize_t (*)(int, const void *, size_t, off64_t))REAL("pwrite64"))(fd, data, size, at);
}

int statvfs64(const char *path, struct statvfs64 *found) {
    if (strikes("statvfs", path)) {
        memset(found, 0, sizeof *found); /* errno 0: it answers, and tells nothing */
        return errno ? -1 : 0;
    }
    return ((int (*)(const char *, struct statvfs64 *))REAL("statvfs64"))(path, found);
}

int fstatvfs64(int fd, struct statvfs64 *found) {
    if (strikes_fd("statvfs", fd)) {
        memset(found, 0, sizeof *found);
        return errno ? -1 : 0;
    }
    return ((int (*)(int, struct statvfs64 *))REAL("fstatvfs64"))(fd, found);
}

int fstatvfs(int fd, struct statvfs *found) {
    return fstatvfs64(fd, (struct statvfs64 *)found);
}

int statvfs(const char *path, struct statvfs *found) {
    return statvfs64(path, (struct statvfs64 *)found);
}

#define OPEN(name)                                                                  \
    int name(const char *path, int flags, ...) {                                    \
        va_list rest;                                                               \
        va_start(rest, flags);                                                      \
        int mode = va_arg(rest, int);                                               \
        va_end(rest);                                                               \
        if (strikes("open", path))                                                  \
            return -1;                                                              \
        return ((int (*)(const char *, int, ...))REAL(#name))(path, flags, mode);   \
    }
OPEN(open)
OPEN(open64)
