/* A preload library that lies to one process about its clock and its disk, switched while it runs.
 *
 * The test maps the same file (EDGE_AGENT_SHIM) and writes what it wants into `struct control`; shim.py
 * mirrors it. Without that variable, or with a zeroed file, every call goes through unchanged.
 *
 *     wall clock   an offset on CLOCK_REALTIME (clock_gettime, gettimeofday, time), and what adjtimex says
 *                  of synchronisation. The monotonic clock and every sleep stay what they are: libfaketime,
 *                  which moves more, makes sleeps fail.
 *     disk         write, pwrite, fdatasync, ftruncate (each with its relatives) of files below `prefix`:
 *                  a pause before the call, an errno instead of it, or both, for so many calls or for ever.
 *                  Each sync leaves the times of its begin and end in a ring, so that a test can say what
 *                  happened while one ran.
 *
 * Times of the ring are CLOCK_MONOTONIC, which all processes of one machine share. Everything is read and
 * written with atomic operations: the two sides are different processes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WRITE, PWRITE, SYNC, TRUNCATE, OPERATIONS };
#define PREFIX 1024
#define RING 4096

struct fault {
    int64_t pause_ns;
    int32_t code;    /* the errno; 0: the call is made */
    int32_t left;    /* how many calls still fail; below 0: every one */
    int64_t begun;   /* calls below the prefix, */
    int64_t done;    /* those that have returned, */
    int64_t refused; /* and those of them that failed by us */
};

struct span {
    int64_t begin, end; /* end 0: still running, or its process was killed */
};

struct control {
    int64_t wall_offset_ns;
    int32_t synchronised; /* 0: what the kernel says, 1: yes, 2: no */
    int32_t unused;
    struct fault faults[OPERATIONS];
    struct span syncs[RING];
    char prefix[PREFIX];
};

static struct control *control;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

#define LOAD(place) __atomic_load_n(&(place), __ATOMIC_SEQ_CST)
#define STORE(place, value) __atomic_store_n(&(place), (value), __ATOMIC_SEQ_CST)
#define ADD(place, value) __atomic_fetch_add(&(place), (value), __ATOMIC_SEQ_CST)
#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static void give_up(const char *why) {
    dprintf(2, "shim: %s\n", why);
    _exit(127);
}

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("EDGE_AGENT_SHIM");
    struct stat status;
    if (!path) return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status)) give_up("EDGE_AGENT_SHIM cannot be opened");
    /* Another size means that shim.py has another idea of the structure. */
    if (status.st_size != sizeof *control) give_up("EDGE_AGENT_SHIM has a wrong size");
    void *place = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (place == MAP_FAILED) give_up("EDGE_AGENT_SHIM cannot be mapped");
    close(fd);
    control = place;
}

/* --- the wall clock -------------------------------------------------------------------------- */

static int64_t mono_ns(void) {
    struct timespec now;
    if (!real_clock_gettime) real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    real_clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (!real_clock_gettime) real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real_clock_gettime(clock, now);
    if (result || !control || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return result;
    int64_t ns = now->tv_sec * 1000000000LL + now->tv_nsec + LOAD(control->wall_offset_ns);
    now->tv_sec = ns / 1000000000LL;
    now->tv_nsec = ns % 1000000000LL;
    if (now->tv_nsec < 0) {
        now->tv_nsec += 1000000000L;
        now->tv_sec -= 1;
    }
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *where) {
    struct timespec exact;
    if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
    if (where) *where = exact.tv_sec;
    return exact.tv_sec;
}

int adjtimex(struct timex *state) {
    REAL(adjtimex);
    int result = real(state);
    int32_t wanted = control ? LOAD(control->synchronised) : 0;
    if (wanted == 1) {
        state->status &= ~STA_UNSYNC;
        return TIME_OK;
    }
    if (wanted == 2) {
        state->status |= STA_UNSYNC;
        return TIME_ERROR;
    }
    return result;
}

/* --- the disk -------------------------------------------------------------------------------- */

static int is_ours(int fd) {
    char name[40], path[PREFIX];
    size_t length;
    if (!control || !(length = strnlen(control->prefix, PREFIX))) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(name, path, sizeof path);
    return size >= (ssize_t)length && !memcmp(path, control->prefix, length) &&
           (size == (ssize_t)length || path[length] == '/');
}

static void pause_ns(int64_t ns) {
    struct timespec left = {ns / 1000000000LL, ns % 1000000000LL};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
}

/* What this call must fail with, 0 if it is to be made. */
static int32_t code_of(struct fault *fault) {
    int32_t left = LOAD(fault->left);
    while (left > 0 && !__atomic_compare_exchange_n(&fault->left, &left, left - 1, 0, __ATOMIC_SEQ_CST,
                                                    __ATOMIC_SEQ_CST)) {
    }
    if (!left) return 0;
    ADD(fault->refused, 1);
    return LOAD(fault->code);
}

#define PLAYED(operation, fd, call) \
    if (!is_ours(fd)) return call; \
    struct fault *fault = &control->faults[operation]; \
    int64_t number = ADD(fault->begun, 1); \
    struct span *span = operation == SYNC ? &control->syncs[number % RING] : NULL; \
    if (span) { \
        STORE(span->end, 0); \
        STORE(span->begin, mono_ns()); \
    } \
    if (LOAD(fault->pause_ns)) pause_ns(LOAD(fault->pause_ns)); \
    int32_t code = code_of(fault); \
    __typeof__(call) result = code ? -1 : call; \
    int kept = code ? code : errno; \
    if (span) STORE(span->end, mono_ns()); \
    ADD(fault->done, 1); \
    errno = kept; \
    return result

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    PLAYED(WRITE, fd, real(fd, data, size));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    PLAYED(WRITE, fd, real(fd, parts, count));
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    REAL(pwrite);
    PLAYED(PWRITE, fd, real(fd, data, size, at));
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    REAL(pwrite64);
    PLAYED(PWRITE, fd, real(fd, data, size, at));
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    REAL(pwritev);
    PLAYED(PWRITE, fd, real(fd, parts, count, at));
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
    REAL(pwritev64);
    PLAYED(PWRITE, fd, real(fd, parts, count, at));
}

int fdatasync(int fd) {
    REAL(fdatasync);
    PLAYED(SYNC, fd, real(fd));
}

int fsync(int fd) {
    REAL(fsync);
    PLAYED(SYNC, fd, real(fd));
}

int ftruncate(int fd, off_t size) {
    REAL(ftruncate);
    PLAYED(TRUNCATE, fd, real(fd, size));
}

int ftruncate64(int fd, off64_t size) {
    REAL(ftruncate64);
    PLAYED(TRUNCATE, fd, real(fd, size));
}
