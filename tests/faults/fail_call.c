/* Fail or kill at the n-th system call of one kind under one folder (LD_PRELOAD).
 *
 * TW_CALL="KIND:N:ACTION": KIND is write, sync, open, rename, remove, size, folder, socket or any;
 * N counts from 1, `N+` means from the N-th on; ACTION is an errno's number, `kill`, or 0: count.
 * TW_CALL_UNDER names the folder; calls on other files pass and are not counted.
 * TW_CALL_TOLD names a file that gets one line when the call was struck: its number and kind.
 * TW_CALL_SYNCED names a folder that holds, by inode, each file as it was when it was last synced:
 * what a power loss leaves of it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static long passed;
static char last[64];

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int under(const char *path) {
    const char *folder = getenv("TW_CALL_UNDER");
    char whole[4096];
    if (!folder || !path) return 0;
    if (path[0] != '/') {
        if (!getcwd(whole, sizeof whole - 2)) return 0;
        size_t n = strlen(whole);
        if (n + strlen(path) + 2 > sizeof whole) return 0;
        whole[n] = '/';
        strcpy(whole + n + 1, path);
        path = whole;
    }
    return strncmp(path, folder, strlen(folder)) == 0;
}

static int under_fd(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0 || path[0] != 0x2f) return 0; /* a pipe or a socket */
    path[n] = 0;
    return under(path);
}

/* Return whether this call must fail; errno is set then. */
static int struck(const char *kind) {
    const char *spec = getenv("TW_CALL");
    if (!spec) return 0;
    char wanted[16], action[16];
    long at;
    char plus[2] = "";
    if (sscanf(spec, "%15[^:]:%ld%1[+]:%15s", wanted, &at, plus, action) != 4 &&
        sscanf(spec, "%15[^:]:%ld:%15s", wanted, &at, action) != 3)
        return 0;
    if (strcmp(wanted, "any") != 0 && strcmp(wanted, kind) != 0) return 0;
    if (strncmp(last, spec, sizeof last - 1) != 0) {
        strncpy(last, spec, sizeof last - 1);
        passed = 0;
    }
    long now = __sync_add_and_fetch(&passed, 1);
    const char *told = getenv("TW_CALL_TOLD");
    int counting = strcmp(action, "0") == 0;
    if (!counting && now != at && !(plus[0] && now > at)) return 0;
    if (told) {
        int fd = syscall(SYS_open, told, O_WRONLY | O_APPEND | O_CREAT, 0600);
        char line[64];
        int n = snprintf(line, sizeof line, "%ld %s\n", now, kind);
        if (syscall(SYS_write, fd, line, n) < 0) return 0;
        syscall(SYS_close, fd);
    }
    if (counting) return 0;
    if (strcmp(action, "kill") == 0) syscall(SYS_kill, getpid(), SIGKILL);
    errno = atoi(action);
    return 1;
}

static int kept_name(char *name, size_t size, const struct stat *about) {
    const char *folder = getenv("TW_CALL_SYNCED");
    if (!folder || !S_ISREG(about->st_mode)) return 0;
    snprintf(name, size, "%s/%llu", folder, (unsigned long long)about->st_ino);
    return 1;
}

/* Keep what a file holds now: it was synced. */
static void keep(int fd) {
    struct stat about;
    char name[4096], own[64], part[65536];
    ssize_t n;
    if (fstat(fd, &about) != 0 || !kept_name(name, sizeof name, &about)) return;
    snprintf(own, sizeof own, "/proc/self/fd/%d", fd); /* it may be open for writing alone */
    int in = syscall(SYS_openat, AT_FDCWD, own, O_RDONLY);
    int out = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (in < 0 || out < 0) abort();
    while ((n = syscall(SYS_read, in, part, sizeof part)) > 0)
        if (syscall(SYS_write, out, part, n) != n) abort();
    if (n < 0) abort();
    syscall(SYS_close, in);
    syscall(SYS_close, out);
}

/* Forget the file of a path that ends: its inode may be given to another. */
static void forget(const char *path) {
    struct stat about;
    char name[4096];
    if (under(path) && stat(path, &about) == 0 && kept_name(name, sizeof name, &about))
        syscall(SYS_unlinkat, AT_FDCWD, name, 0);
}

#define WRITER(name, kind, args, call)                          \
    ssize_t name args {                                         \
        if (under_fd(fd) && struck(kind)) return -1;            \
        return REAL(name) call;                                 \
    }
WRITER(write, "write", (int fd, const void *text, size_t n), (fd, text, n))
WRITER(pwrite, "write", (int fd, const void *text, size_t n, off_t at), (fd, text, n, at))
WRITER(pwrite64, "write", (int fd, const void *text, size_t n, off64_t at), (fd, text, n, at))
WRITER(writev, "write", (int fd, const struct iovec *text, int n), (fd, text, n))

#define ON_FD(name, kind, args, call)                           \
    int name args {                                             \
        if (under_fd(fd) && struck(kind)) return -1;            \
        return REAL(name) call;                                 \
    }
#define SYNC(name)                                              \
    int name(int fd) {                                          \
        if (!under_fd(fd)) return REAL(name)(fd);               \
        if (struck("sync")) return -1;                          \
        int code = REAL(name)(fd);                              \
        if (code == 0) keep(fd);                                \
        return code;                                            \
    }
SYNC(fsync)
SYNC(fdatasync)
ON_FD(ftruncate, "size", (int fd, off_t n), (fd, n))
ON_FD(ftruncate64, "size", (int fd, off64_t n), (fd, n))

#define ON_PATH(name, kind, gone, args, call)                   \
    int name args {                                             \
        if (under(path) && struck(kind)) return -1;             \
        forget(gone);                                           \
        return REAL(name) call;                                 \
    }
ON_PATH(rename, "rename", to, (const char *path, const char *to), (path, to))
ON_PATH(unlink, "remove", path, (const char *path), (path))
ON_PATH(rmdir, "remove", "", (const char *path), (path))
ON_PATH(mkdir, "folder", "", (const char *path, mode_t mode), (path, mode))

static int opens(const char *path, int flags) {
    return (flags & (O_WRONLY | O_RDWR | O_CREAT)) && under(path) && struck("open");
}

#define OPENER(name)                                            \
    int name(const char *path, int flags, ...) {                \
        va_list rest;                                           \
        va_start(rest, flags);                                  \
        mode_t mode = va_arg(rest, mode_t);                     \
        va_end(rest);                                           \
        if (opens(path, flags)) return -1;                      \
        return REAL(name)(path, flags, mode);                   \
    }
OPENER(open)
OPENER(open64)

#define OPENER_AT(name)                                         \
    int name(int folder, const char *path, int flags, ...) {    \
        va_list rest;                                           \
        va_start(rest, flags);                                  \
        mode_t mode = va_arg(rest, mode_t);                     \
        va_end(rest);                                           \
        if (opens(path, flags)) return -1;                      \
        return REAL(name)(folder, path, flags, mode);           \
    }
OPENER_AT(openat)
OPENER_AT(openat64)

int connect(int fd, const struct sockaddr *to, socklen_t n) {
    if (to && to->sa_family != AF_UNIX && struck("socket")) return -1;
    return REAL(connect)(fd, to, n);
}

ssize_t send(int fd, const void *text, size_t n, int flags) {
    if (struck("socket")) return -1;
    return REAL(send)(fd, text, n, flags);
}

ssize_t recv(int fd, void *text, size_t n, int flags) {
    if (struck("socket")) return -1;
    return REAL(recv)(fd, text, n, flags);
}
