/* Counts the calls by which a program changes files below a folder, strikes at one of them, and
 * writes each down. Loaded by LD_PRELOAD; calls on anything else go through untouched.
 *
 * SWEEP_BELOW  the folder, as the kernel spells it
 * SWEEP_LOG    where the calls are written down, see journal.py
 * SWEEP_AT     the number of the call to strike at, from 1; 0: none
 * SWEEP_DEED   what then happens: before, after, torn: the process is killed before the call, after
 *              it, or when half of the bytes are written; short: half of the bytes are taken; a
 *              number: the call fails with this errno
 * SWEEP_STAYS  1: so does every call after it
 * SWEEP_SYNCS  how the names end of the files whose syncs alone are counted for SWEEP_AT
 *
 * One call at a time is carried out, over all threads, so the log is the order of what happened.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { NOTHING = 0, BEFORE = -1, AFTER = -2, TORN = -3, SHORT = -4 };

typedef struct {
    const char *name;
    char path[PATH_MAX];
    char other[PATH_MAX]; /* where it goes, or where a link points to */
    long long value;      /* an offset, a length or a mode */
    const void *data;
    size_t size;
    int deed;
    long number;
} Call;

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_length;
static int journal = -1;
static long count, aimed, strike_at;
static const char *ending;
static int deed, stays;

static void set_up(const char *below, const char *log, const char *at, const char *what)
{
    int fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    strcpy(root, below);
    root_length = strlen(root);
    strike_at = at ? atol(at) : 0;
    stays = getenv("SWEEP_STAYS") != NULL;
    ending = getenv("SWEEP_SYNCS");
    if (what == NULL)
        deed = NOTHING;
    else if (strcmp(what, "before") == 0)
        deed = BEFORE;
    else if (strcmp(what, "after") == 0)
        deed = AFTER;
    else if (strcmp(what, "torn") == 0)
        deed = TORN;
    else if (strcmp(what, "short") == 0)
        deed = SHORT;
    else
        deed = atoi(what);
    journal = fcntl(fd, F_DUPFD_CLOEXEC, 900); /* out of the way of the program's own */
    close(fd);
}

/* Whether calls are written down. The environment may be set after a fork. */
static int is_begun(void)
{
    if (journal >= 0)
        return 1;
    const char *below = getenv("SWEEP_BELOW"), *log = getenv("SWEEP_LOG");
    const char *at = getenv("SWEEP_AT"), *what = getenv("SWEEP_DEED");
    static pthread_mutex_t beginning = PTHREAD_MUTEX_INITIALIZER;
    if (below == NULL || log == NULL || strlen(below) >= sizeof root)
        return 0;
    pthread_mutex_lock(&beginning);
    if (journal < 0)
        set_up(below, log, at, what);
    pthread_mutex_unlock(&beginning);
    return journal >= 0;
}

/* Paths */

static int is_below(const char *path)
{
    return is_begun() && strncmp(path, root, root_length) == 0 &&
           (path[root_length] == '/' || path[root_length] == '\0');
}

/* The path of an open file; whether it is below the folder, and still there. */
static int opened_below(int fd, char *path)
{
    static const char gone[] = " (deleted)";
    char link[64];
    if (!is_begun())
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    if (length < 0)
        return 0;
    path[length] = '\0';
    size_t tail = sizeof gone - 1;
    if ((size_t)length > tail && strcmp(path + length - tail, gone) == 0)
        return 0;
    return is_below(path);
}

/* The path of a name in an open folder, which itself may be named by its descriptor. */
static int named_below(int at, const char *name, char *path)
{
    if (!is_begun())
        return 0;
    static const char descriptors[] = "/proc/self/fd/";
    if (strncmp(name, descriptors, sizeof descriptors - 1) == 0) {
        char *rest;
        long fd = strtol(name + sizeof descriptors - 1, &rest, 10);
        return rest[0] == '/' && named_below((int)fd, rest + 1, path);
    }
    if (name[0] == '/')
        return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX && is_below(path);
    char folder[PATH_MAX];
    if (at == AT_FDCWD ? getcwd(folder, sizeof folder) == NULL : !opened_below(at, folder))
        return 0;
    return snprintf(path, PATH_MAX, "%s/%s", folder, name) < PATH_MAX && is_below(path);
}

/* Each call */

static void put(struct iovec *parts, int number)
{
    syscall(SYS_writev, journal, parts, number); /* a file: all or nothing */
}

static const char *relative(const char *path)
{
    if (!is_below(path))
        return path;
    return path[root_length] ? path + root_length + 1 : ".";
}

static void note(const Call *call, long result, size_t size)
{
    char line[2 * PATH_MAX + 128];
    int length = snprintf(line, sizeof line, "%ld\t%s\t%ld\t%s\t%s\t%lld\t%zu\n", call->number,
                          call->name, result, relative(call->path), relative(call->other),
                          call->value, size);
    struct iovec parts[] = {{line, length}, {(void *)call->data, size}};
    put(parts, size ? 2 : 1);
}

static void end(void)
{
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;)
        pause();
}

static int is_aimed_at(const Call *call)
{
    if (ending == NULL)
        return 1;
    size_t length = strlen(call->path), last = strlen(ending);
    return strcmp(call->name, "sync") == 0 && length >= last &&
           strcmp(call->path + length - last, ending) == 0;
}

/* Wait for one's turn. An errno: the call is to fail with it. */
static int enter(Call *call)
{
    pthread_mutex_lock(&turn);
    call->number = ++count;
    int counts = is_aimed_at(call);
    aimed += counts;
    int struck = strike_at && counts && (aimed == strike_at || (stays && aimed > strike_at));
    call->deed = struck ? deed : NOTHING;
    if (call->deed == BEFORE || (call->deed == TORN && call->size < 2)) {
        note(call, -EINTR, 0);
        end();
    }
    return call->deed > 0 ? call->deed : 0;
}

static long leave(Call *call, long result)
{
    int error = errno;
    int is_write = call->data != NULL;
    note(call, result < 0 ? -error : result, is_write && result > 0 ? result : 0);
    if (call->deed == AFTER || call->deed == TORN)
        end();
    pthread_mutex_unlock(&turn);
    errno = error;
    return result;
}

static long failed(int error)
{
    errno = error;
    return -1;
}

/* How many of the bytes are to be taken. */
static size_t taken(const Call *call)
{
    int halved = call->size > 1 && (call->deed == TORN || call->deed == SHORT);
    return halved ? call->size / 2 : call->size;
}

#define CARRY_OUT(call, doing)                                                                     \
    do {                                                                                           \
        int error_ = enter(&(call));                                                               \
        return leave(&(call), error_ ? failed(error_) : (doing));                                  \
    } while (0)

/* The mode of what has just been made; result is that of making it. */
static long with_mode(Call *call, long result)
{
    struct stat found;
    int error = errno;
    if (result >= 0 && fstatat(AT_FDCWD, call->path, &found, AT_SYMLINK_NOFOLLOW) == 0)
        call->value = found.st_mode & 07777;
    errno = error;
    return result;
}

/* Files are made and emptied by opening them */

static int opening(int at, const char *name, int flags, mode_t mode)
{
    Call call = {.name = "create"};
    int makes = flags & O_CREAT, empties = (flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY;
    if ((!makes && !empties) || (flags & O_TMPFILE) == O_TMPFILE || !named_below(at, name, call.path))
        return syscall(SYS_openat, at, name, flags, mode);
    int there = syscall(SYS_faccessat, AT_FDCWD, call.path, F_OK) == 0;
    if (there && (!empties || (flags & O_EXCL)))
        return syscall(SYS_openat, at, name, flags, mode);
    if (there) {
        call.name = "truncate";
        CARRY_OUT(call, syscall(SYS_openat, at, name, flags, mode));
    }
    CARRY_OUT(call, with_mode(&call, syscall(SYS_openat, at, name, flags, mode)));
}

#define MODE_OF(flags)                                                                             \
    mode_t mode = 0;                                                                               \
    if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) {                                                         \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode = va_arg(more, mode_t);                                                               \
        va_end(more);                                                                              \
    }

#define OPENS(function)                                                                            \
    int function(const char *name, int flags, ...)                                                 \
    {                                                                                              \
        MODE_OF(flags)                                                                             \
        return opening(AT_FDCWD, name, flags, mode);                                               \
    }

#define OPENS_AT(function)                                                                         \
    int function(int at, const char *name, int flags, ...)                                         \
    {                                                                                              \
        MODE_OF(flags)                                                                             \
        return opening(at, name, flags, mode);                                                     \
    }

OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)

int creat(const char *name, mode_t mode)
{
    return opening(AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

int creat64(const char *name, mode_t mode)
{
    return creat(name, mode);
}

/* Bytes */

static long long position(int fd)
{
    struct stat found;
    if (fcntl(fd, F_GETFL) & O_APPEND)
        return fstat(fd, &found) == 0 ? found.st_size : 0;
    return lseek(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *data, size_t size)
{
    Call call = {.name = "write", .data = data, .size = size};
    if (!opened_below(fd, call.path))
        return syscall(SYS_write, fd, data, size);
    call.value = position(fd);
    CARRY_OUT(call, syscall(SYS_write, fd, data, taken(&call)));
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    Call call = {.name = "write", .data = data, .size = size, .value = offset};
    if (!opened_below(fd, call.path))
        return syscall(SYS_pwrite64, fd, data, size, offset);
    CARRY_OUT(call, syscall(SYS_pwrite64, fd, data, taken(&call), offset));
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset)
{
    return pwrite(fd, data, size, offset);
}

/* The bytes of several pieces in one; to be freed. */
static void *joined(const struct iovec *parts, int number, size_t *size)
{
    *size = 0;
    for (int n = 0; n < number; n++)
        *size += parts[n].iov_len;
    char *whole = malloc(*size + 1), *place = whole;
    for (int n = 0; whole != NULL && n < number; n++)
        place = mempcpy(place, parts[n].iov_base, parts[n].iov_len);
    return whole;
}

ssize_t writev(int fd, const struct iovec *parts, int number)
{
    char path[PATH_MAX];
    if (!opened_below(fd, path))
        return syscall(SYS_writev, fd, parts, number);
    size_t size;
    void *whole = joined(parts, number, &size);
    ssize_t result = write(fd, whole, size);
    free(whole);
    return result;
}

ssize_t pwritev(int fd, const struct iovec *parts, int number, off_t offset)
{
    size_t size;
    void *whole = joined(parts, number, &size);
    ssize_t result = pwrite(fd, whole, size, offset);
    free(whole);
    return result;
}

ssize_t pwritev64(int fd, const struct iovec *parts, int number, off_t offset)
{
    return pwritev(fd, parts, number, offset);
}

ssize_t copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t size, unsigned flags)
{
    Call call = {.name = "copy", .size = size};
    if (!opened_below(to, call.path))
        return syscall(SYS_copy_file_range, from, from_at, to, to_at, size, flags);
    CARRY_OUT(call, syscall(SYS_copy_file_range, from, from_at, to, to_at, taken(&call), flags));
}

ssize_t sendfile(int to, int from, off_t *from_at, size_t size)
{
    Call call = {.name = "copy", .size = size};
    if (!opened_below(to, call.path))
        return syscall(SYS_sendfile, to, from, from_at, size);
    CARRY_OUT(call, syscall(SYS_sendfile, to, from, from_at, taken(&call)));
}

ssize_t sendfile64(int to, int from, off_t *from_at, size_t size)
{
    return sendfile(to, from, from_at, size);
}

int ftruncate(int fd, off_t length)
{
    Call call = {.name = "truncate", .value = length};
    if (!opened_below(fd, call.path))
        return syscall(SYS_ftruncate, fd, length);
    CARRY_OUT(call, syscall(SYS_ftruncate, fd, length));
}

int ftruncate64(int fd, off_t length)
{
    return ftruncate(fd, length);
}

int truncate(const char *name, off_t length)
{
    Call call = {.name = "truncate", .value = length};
    if (!named_below(AT_FDCWD, name, call.path))
        return syscall(SYS_truncate, name, length);
    CARRY_OUT(call, syscall(SYS_truncate, name, length));
}

int truncate64(const char *name, off_t length)
{
    return truncate(name, length);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
    Call call = {.name = "allocate", .value = offset + length};
    if (!opened_below(fd, call.path))
        return syscall(SYS_fallocate, fd, mode, offset, length);
    CARRY_OUT(call, syscall(SYS_fallocate, fd, mode, offset, length));
}

int fallocate64(int fd, int mode, off_t offset, off_t length)
{
    return fallocate(fd, mode, offset, length);
}

int posix_fallocate(int fd, off_t offset, off_t length)
{
    return fallocate(fd, 0, offset, length) == 0 ? 0 : errno;
}

int posix_fallocate64(int fd, off_t offset, off_t length)
{
    return posix_fallocate(fd, offset, length);
}

/* What makes them last */

int fsync(int fd)
{
    Call call = {.name = "sync"};
    if (!opened_below(fd, call.path))
        return syscall(SYS_fsync, fd);
    CARRY_OUT(call, syscall(SYS_fsync, fd));
}

int fdatasync(int fd)
{
    Call call = {.name = "sync"};
    if (!opened_below(fd, call.path))
        return syscall(SYS_fdatasync, fd);
    CARRY_OUT(call, syscall(SYS_fdatasync, fd));
}

/* Names */

int renameat2(int at, const char *name, int to, const char *target, unsigned flags)
{
    Call call = {.name = "rename"};
    int leaves = named_below(at, name, call.path), comes = named_below(to, target, call.other);
    if (!leaves && !comes)
        return syscall(SYS_renameat2, at, name, to, target, flags);
    CARRY_OUT(call, syscall(SYS_renameat2, at, name, to, target, flags));
}

int renameat(int at, const char *name, int to, const char *target)
{
    return renameat2(at, name, to, target, 0);
}

int rename(const char *name, const char *target)
{
    return renameat2(AT_FDCWD, name, AT_FDCWD, target, 0);
}

int linkat(int at, const char *name, int to, const char *target, int flags)
{
    Call call = {.name = "link"};
    int is_ours = named_below(to, target, call.other);
    if (!is_ours || !named_below(at, name, call.path))
        return syscall(SYS_linkat, at, name, to, target, flags);
    CARRY_OUT(call, syscall(SYS_linkat, at, name, to, target, flags));
}

int link(const char *name, const char *target)
{
    return linkat(AT_FDCWD, name, AT_FDCWD, target, 0);
}

int symlinkat(const char *target, int at, const char *name)
{
    Call call = {.name = "symlink"};
    if (!named_below(at, name, call.path) || strlen(target) >= PATH_MAX)
        return syscall(SYS_symlinkat, target, at, name);
    strcpy(call.other, target);
    CARRY_OUT(call, syscall(SYS_symlinkat, target, at, name));
}

int symlink(const char *target, const char *name)
{
    return symlinkat(target, AT_FDCWD, name);
}

int unlinkat(int at, const char *name, int flags)
{
    Call call = {.name = flags & AT_REMOVEDIR ? "rmdir" : "unlink"};
    if (!named_below(at, name, call.path))
        return syscall(SYS_unlinkat, at, name, flags);
    CARRY_OUT(call, syscall(SYS_unlinkat, at, name, flags));
}

int unlink(const char *name)
{
    return unlinkat(AT_FDCWD, name, 0);
}

int rmdir(const char *name)
{
    return unlinkat(AT_FDCWD, name, AT_REMOVEDIR);
}

int mkdirat(int at, const char *name, mode_t mode)
{
    Call call = {.name = "mkdir"};
    if (!named_below(at, name, call.path))
        return syscall(SYS_mkdirat, at, name, mode);
    CARRY_OUT(call, with_mode(&call, syscall(SYS_mkdirat, at, name, mode)));
}

int mkdir(const char *name, mode_t mode)
{
    return mkdirat(AT_FDCWD, name, mode);
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    Call call = {.name = "bind"};
    const struct sockaddr_un *local = (const struct sockaddr_un *)address;
    if (address->sa_family != AF_UNIX || length <= sizeof address->sa_family ||
        !local->sun_path[0] || !named_below(AT_FDCWD, local->sun_path, call.path))
        return syscall(SYS_bind, fd, address, length);
    CARRY_OUT(call, syscall(SYS_bind, fd, address, length));
}

/* Attributes */

int fchmodat(int at, const char *name, mode_t mode, int flags)
{
    Call call = {.name = "chmod", .value = mode};
    if (!named_below(at, name, call.path))
        return syscall(SYS_fchmodat, at, name, mode);
    (void)flags; /* there are no links of ours whose mode anybody sets */
    CARRY_OUT(call, syscall(SYS_fchmodat, at, name, mode));
}

int chmod(const char *name, mode_t mode)
{
    return fchmodat(AT_FDCWD, name, mode, 0);
}

int fchmod(int fd, mode_t mode)
{
    Call call = {.name = "chmod", .value = mode};
    if (!opened_below(fd, call.path))
        return syscall(SYS_fchmod, fd, mode);
    CARRY_OUT(call, syscall(SYS_fchmod, fd, mode));
}

int utimensat(int at, const char *name, const struct timespec times[2], int flags)
{
    Call call = {.name = "times"};
    if (!named_below(at, name, call.path))
        return syscall(SYS_utimensat, at, name, times, flags);
    CARRY_OUT(call, syscall(SYS_utimensat, at, name, times, flags));
}

int futimens(int fd, const struct timespec times[2])
{
    Call call = {.name = "times"};
    if (!opened_below(fd, call.path))
        return syscall(SYS_utimensat, fd, NULL, times, 0);
    CARRY_OUT(call, syscall(SYS_utimensat, fd, NULL, times, 0));
}
