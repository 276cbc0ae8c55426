/* Modbus RTU slaves on pseudo-terminals, paced like real lines, that judge how their master uses the line.
 *
 *     pacing_slave BAUD LINES CHUNKS [BITS]
 *
 * CHUNKS: how a reply reaches the master: `single` byte by byte; `fifo:N` N bytes at a time and the rest
 * with its last byte, as a UART with a FIFO; `usb:US` what came within a latency timer of US microseconds, or
 * 62 bytes, as an FTDI adapter. BITS: of a character, 10 (8N1).
 *
 * Every unit answers functions 3 and 4 at any address. A pseudo-terminal delivers at once, so the request's
 * end on the wire is reckoned: the moment it was seen and 8 characters. The reply's first bit follows exactly
 * t3.5 later and its bytes are released at absolute times.
 *
 * What is judged, per request: the gap between the last byte of the reply before, as the wire had it, and the
 * moment the request was seen. That byte's time is taken just before it is released and the request's just
 * after it was seen, so the true gap is never longer: what is counted as too soon was too soon, and what is
 * not may have been so by as much as the request was seen late. How late requests are seen is measured at
 * the start, how late bytes are released with each of them. (To spin for the request instead of sleeping is
 * no better: it takes the processor from the kernel's thread that carries the pseudo-terminal's bytes.)
 *
 * Prints JSON lines: `port` per line, `ready`; at SIGUSR1 and at the end (SIGTERM, SIGINT) a `report` per
 * line on what happened since the last one. A transaction is counted when the next request begins:
 *   requests, least_ns   how many, and the least time they can take: request, t3.5, reply, t3.5
 *   elapsed_ns, late_ns  the time they took, and how much of it the last bytes were late by the slave's fault
 *   too_soon, min_gap_us requests before t3.5 was over; the shortest gap
 *   during_reply         requests that began before the reply's last byte; they are not answered
 *   garbled, overruns    what was no request; bytes nobody had read for so long that they did not fit
 *   idle_us              of each request: the gap beyond t3.5
 *   writes, late_*_us    how late bytes were released
 *   map                  requests for the lowest address that was asked for, and the time from first to last
 */

#define _GNU_SOURCE
#include "rtu.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_LINES 32
#define KEPT_IDLES 8192
#define LATE_CLASSES 4096 /* of 1 us; the last one holds what was later still */
#define USB_PACKET 62
#define SPIN_NS 30000
#define STALE_MS 200 /* silence after which the port is made ready for the next master */
#define PRIORITY 10
#define CALIBRATIONS 200

enum chunks { SINGLE, FIFO, USB };

static struct {
    long baud;
    int bits;
    enum chunks chunks;
    size_t fifo_bytes;
    int64_t usb_tick_ns;
    int64_t t3_5;
} pace;

struct figures {
    long requests, too_soon, during_reply, garbled, overruns, writes, idles;
    int64_t least_ns, elapsed_ns, late_ns, min_gap_ns, late_max_ns;
    int64_t idle_ns[KEPT_IDLES];
    uint32_t late[LATE_CLASSES];
    int map_key; /* function and address */
    long map_times;
    int64_t map_first, map_last;
};

struct line {
    int number, far, near;
    pthread_mutex_t lock; /* of `figures` */
    struct figures figures;
    /* Of the transaction that is not over yet; of the line's own thread. */
    bool answered;
    int64_t seen, least_ns, late_ns;
    int64_t silent_from; /* the last byte's end on the wire, as it was released */
    int64_t released;    /* when the master was given it */
};

static struct line lines[MAX_LINES];
static volatile int64_t calibration_sent;

/* --- the reply --------------------------------------------------------------------------------- */

static int64_t chars_ns(size_t count)
{
    return wire_ns(pace.baud, pace.bits, count);
}

/* Believable f32 values at even addresses: about 100, never twice the same. */
static size_t make_reply(const uint8_t *request, uint8_t *reply)
{
    static _Thread_local uint32_t noise = 1;
    unsigned address = request[2] << 8 | request[3], count = request[4] << 8 | request[5];
    size_t length = 3;
    reply[0] = request[0];
    reply[1] = request[1];
    reply[2] = (uint8_t)(2 * count);
    for (unsigned i = 0; i < count; i++) {
        noise = noise * 1664525 + 1013904223;
        unsigned word = (address + i) % 2 ? noise >> 16 : 0x42C8;
        reply[length++] = word >> 8;
        reply[length++] = word & 0xFF;
    }
    return with_crc(reply, length);
}

/* The bytes from `first` on that reach the master together: one past the last, and when. */
static size_t next_chunk(size_t first, size_t length, int64_t start, int64_t *due)
{
    size_t end = first + 1;
    if (pace.chunks == FIFO)
        end = first + pace.fifo_bytes;
    if (pace.chunks != USB) {
        end = end < length ? end : length;
        *due = start + chars_ns(end);
        return end;
    }
    /* The adapter's timer runs on by itself: its phase has nothing to do with the reply. */
    int64_t tick = start + chars_ns(first + 1);
    tick += pace.usb_tick_ns - tick % pace.usb_tick_ns;
    end = first + 1;
    while (end < length && end < first + USB_PACKET && start + chars_ns(end + 1) <= tick)
        end++;
    *due = end == first + USB_PACKET ? start + chars_ns(end) : tick;
    return end;
}

static void note_release(struct line *line, int64_t late_ns, bool lost)
{
    pthread_mutex_lock(&line->lock);
    struct figures *figures = &line->figures;
    int64_t class = late_ns / 1000;
    figures->writes++;
    figures->late[class < LATE_CLASSES ? class : LATE_CLASSES - 1]++;
    if (late_ns > figures->late_max_ns)
        figures->late_max_ns = late_ns;
    figures->overruns += lost;
    pthread_mutex_unlock(&line->lock);
}

/* Sleep, and spin through the last moment where it matters; returns the time. */
static int64_t wait_for(int64_t due, bool exactly)
{
    int64_t now = now_ns();
    int64_t wake = due - (exactly ? SPIN_NS : 0);
    if (now < wake)
        sleep_until(wake);
    while ((now = now_ns()) < due)
        ;
    return now;
}

static void count_interruption(struct line *line)
{
    uint8_t thrown_away[256];
    if (read(line->far, thrown_away, sizeof thrown_away) <= 0)
        return;
    pthread_mutex_lock(&line->lock);
    line->figures.during_reply++;
    pthread_mutex_unlock(&line->lock);
}

static void answer(struct line *line, const uint8_t *request)
{
    uint8_t reply[MAX_REPLY];
    size_t length = make_reply(request, reply), first = 0;
    int64_t start = line->seen + chars_ns(REQUEST_LENGTH) + pace.t3_5;
    int64_t due = 0, now = 0;
    while (first < length) {
        size_t end = next_chunk(first, length, start, &due);
        bool last = end == length;
        if (last)
            count_interruption(line);
        now = wait_for(due, last);
        ssize_t sent = write(line->far, reply + first, end - first);
        note_release(line, now - due, sent != (ssize_t)(end - first));
        first = end;
    }
    line->late_ns = now - due;
    line->silent_from = start + chars_ns(length) + line->late_ns;
    line->released = now;
    line->least_ns = chars_ns(REQUEST_LENGTH + length) + 2 * pace.t3_5;
    line->answered = true;
}

/* --- the request ------------------------------------------------------------------------------- */

static void note_map(struct figures *figures, const uint8_t *request, int64_t seen)
{
    int key = request[1] << 16 | request[2] << 8 | request[3];
    if (figures->map_times == 0 || key < figures->map_key) {
        figures->map_key = key;
        figures->map_times = 0;
        figures->map_first = seen;
    }
    if (key == figures->map_key) {
        figures->map_times++;
        figures->map_last = seen;
    }
}

/* A request begins: the transaction before it is over. */
static void judge(struct line *line, const uint8_t *request, int64_t seen)
{
    pthread_mutex_lock(&line->lock);
    struct figures *figures = &line->figures;
    note_map(figures, request, seen);
    if (line->answered) {
        int64_t gap = seen - line->silent_from;
        int64_t may_send = line->silent_from + pace.t3_5;
        figures->too_soon += gap < pace.t3_5;
        if (figures->requests == 0 || gap < figures->min_gap_ns)
            figures->min_gap_ns = gap;
        if (figures->idles < KEPT_IDLES)
            figures->idle_ns[figures->idles++] = seen - (may_send > line->released ? may_send : line->released);
        figures->requests++;
        figures->least_ns += line->least_ns;
        figures->elapsed_ns += seen - line->seen;
        figures->late_ns += line->late_ns;
    }
    pthread_mutex_unlock(&line->lock);
    line->seen = seen;
}

static bool is_request(const uint8_t *heard, size_t length)
{
    unsigned count = heard[4] << 8 | heard[5];
    return length == REQUEST_LENGTH && crc16(heard, length) == 0 && (heard[1] == 3 || heard[1] == 4) &&
           count >= 1 && count <= MAX_COUNT;
}

/* What a master that was killed has left behind must not meet the next one. */
static void make_ready(struct line *line)
{
    ioctl(line->near, TIOCNXCL);
    tcflush(line->near, TCIFLUSH);
}

/* Wait for a frame of 8 bytes; its length, or less when the line falls silent. */
static size_t listen_for(struct line *line, uint8_t *heard, size_t size, int64_t *seen)
{
    size_t length = 0;
    bool stale = false;
    for (;;) {
        struct pollfd input = {line->far, POLLIN, 0};
        int ready = poll(&input, 1, stale ? -1 : STALE_MS);
        int64_t now = now_ns();
        if (ready == 0 && length)
            return length;
        if (ready == 0) {
            make_ready(line);
            stale = true;
        }
        if (ready <= 0)
            continue;
        ssize_t got = read(line->far, heard + length, size - length);
        if (got <= 0)
            continue;
        if (length == 0)
            *seen = now;
        length += (size_t)got;
        if (length >= REQUEST_LENGTH)
            return length;
    }
}

static void serve(struct line *line)
{
    uint8_t heard[256];
    int64_t seen = 0;
    for (;;) {
        size_t length = listen_for(line, heard, sizeof heard, &seen);
        if (is_request(heard, length)) {
            judge(line, heard, seen);
            answer(line, heard);
            continue;
        }
        pthread_mutex_lock(&line->lock);
        line->figures.garbled++;
        pthread_mutex_unlock(&line->lock);
    }
}

/* --- how late a request is seen ----------------------------------------------------------------- */

static int64_t seen_late[CALIBRATIONS];
static pthread_barrier_t calibrated;

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The line's side: the same wait as for a request. */
static void calibrate(struct line *line)
{
    uint8_t heard[REQUEST_LENGTH];
    for (int i = 0; i < CALIBRATIONS; i++) {
        struct pollfd input = {line->far, POLLIN, 0};
        poll(&input, 1, -1);
        seen_late[i] = now_ns() - calibration_sent;
        if (read(line->far, heard, sizeof heard) < 0)
            perror("calibration");
        pthread_barrier_wait(&calibrated);
    }
}

/* The master's side. */
static void send_calibrations(struct line *line)
{
    const uint8_t request[REQUEST_LENGTH] = {0};
    for (int i = 0; i < CALIBRATIONS; i++) {
        sleep_until(now_ns() + 1000000);
        calibration_sent = now_ns();
        if (write(line->near, request, sizeof request) < 0)
            perror("calibration");
        pthread_barrier_wait(&calibrated);
    }
    qsort(seen_late, CALIBRATIONS, sizeof *seen_late, by_size);
}

static void *run_line(void *argument)
{
    struct line *line = argument;
    fine_timers();
    if (line->number == 0)
        calibrate(line);
    serve(line);
    return NULL;
}

/* --- reports ------------------------------------------------------------------------------------ */

static double late_quantile_us(const struct figures *figures, double share)
{
    double rank = share * (double)figures->writes;
    for (int class = 0; class < LATE_CLASSES; class++) {
        rank -= figures->late[class];
        if (rank <= 0)
            return class + 1;
    }
    return LATE_CLASSES;
}

static void print_report(int number, const struct figures *figures)
{
    printf("{\"event\": \"report\", \"line\": %d, \"requests\": %ld, \"least_ns\": %lld, \"elapsed_ns\": %lld, "
           "\"late_ns\": %lld, \"too_soon\": %ld, \"during_reply\": %ld, \"garbled\": %ld, \"overruns\": %ld, "
           "\"min_gap_us\": %.1f, \"t3_5_us\": %.1f, ",
           number, figures->requests, (long long)figures->least_ns, (long long)figures->elapsed_ns,
           (long long)figures->late_ns, figures->too_soon, figures->during_reply, figures->garbled,
           figures->overruns, figures->min_gap_ns / 1e3, pace.t3_5 / 1e3);
    printf("\"writes\": %ld, \"late_p50_us\": %.0f, \"late_p99_us\": %.0f, \"late_max_us\": %.1f, ", figures->writes,
           late_quantile_us(figures, 0.5), late_quantile_us(figures, 0.99), figures->late_max_ns / 1e3);
    printf("\"map\": {\"function\": %d, \"address\": %d, \"times\": %ld, \"elapsed_ns\": %lld}, \"idle_us\": [",
           figures->map_key >> 16, figures->map_key & 0xFFFF, figures->map_times,
           (long long)(figures->map_last - figures->map_first));
    for (long i = 0; i < figures->idles; i++)
        printf("%s%.1f", i ? ", " : "", figures->idle_ns[i] / 1e3);
    printf("]}\n");
}

static void report(int count)
{
    static struct figures copy;
    for (int i = 0; i < count; i++) {
        pthread_mutex_lock(&lines[i].lock);
        copy = lines[i].figures;
        memset(&lines[i].figures, 0, sizeof lines[i].figures);
        pthread_mutex_unlock(&lines[i].lock);
        print_report(i, &copy);
    }
    fflush(stdout);
}

/* --- starting ----------------------------------------------------------------------------------- */

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* The near side stays open here, so that a master that goes does not hang the line up. */
static void open_line(struct line *line, int number)
{
    line->number = number;
    line->far = posix_openpt(O_RDWR | O_NOCTTY);
    if (line->far < 0 || grantpt(line->far) != 0 || unlockpt(line->far) != 0)
        fail("posix_openpt");
    line->near = open(ptsname(line->far), O_RDWR | O_NOCTTY);
    if (line->near < 0 || make_raw(line->near) != 0)
        fail(ptsname(line->far));
    fcntl(line->far, F_SETFL, O_NONBLOCK);
    printf("{\"event\": \"port\", \"line\": %d, \"path\": \"%s\"}\n", number, ptsname(line->far));
}

/* A mutex of the plain kind would let the reporting thread delay a line by its own turn on the processor. */
static void make_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(lock, &attributes);
}

/* Ahead of all ordinary threads where that is permitted; whether it is. */
static bool start_line(struct line *line)
{
    struct sched_param priority = {.sched_priority = PRIORITY};
    pthread_t thread;
    make_lock(&line->lock);
    if (pthread_create(&thread, NULL, run_line, line) != 0)
        fail("pthread_create");
    return pthread_setschedparam(thread, SCHED_FIFO, &priority) == 0;
}

static bool parse(int argc, char **argv, int *count)
{
    if (argc != 4 && argc != 5)
        return false;
    const char *chunks = argv[3], *size = strchr(chunks, ':');
    long number = size ? atol(size + 1) : 0;
    pace.baud = atol(argv[1]);
    pace.bits = argc == 5 ? atoi(argv[4]) : 10;
    pace.t3_5 = pace.baud > 0 ? t3_5_ns(pace.baud) : 0;
    pace.chunks = *chunks == 's' ? SINGLE : *chunks == 'f' ? FIFO : USB;
    pace.fifo_bytes = (size_t)number;
    pace.usb_tick_ns = number * 1000;
    *count = atoi(argv[2]);
    return pace.baud >= 300 && pace.bits >= 10 && pace.bits <= 12 && *count >= 1 && *count <= MAX_LINES &&
           (strcmp(chunks, "single") == 0 || ((!strncmp(chunks, "fifo:", 5) || !strncmp(chunks, "usb:", 4)) && number > 0));
}

int main(int argc, char **argv)
{
    int count, arrived;
    sigset_t awaited;
    if (!parse(argc, argv, &count)) {
        fprintf(stderr, "usage: %s BAUD LINES single|fifo:BYTES|usb:MICROSECONDS [BITS]\n", argv[0]);
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    mlockall(MCL_CURRENT | MCL_FUTURE);
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGUSR1);
    sigaddset(&awaited, SIGTERM);
    sigaddset(&awaited, SIGINT);
    pthread_sigmask(SIG_BLOCK, &awaited, NULL);
    pthread_barrier_init(&calibrated, NULL, 2);
    bool ahead = true;
    for (int i = 0; i < count; i++)
        open_line(&lines[i], i);
    for (int i = 0; i < count; i++)
        ahead = start_line(&lines[i]) && ahead;
    send_calibrations(&lines[0]);
    printf("{\"event\": \"ready\", \"scheduling\": \"%s\", \"seen_late_p50_us\": %.1f, \"seen_late_p99_us\": %.1f}\n",
           ahead ? "fifo" : "other", seen_late[CALIBRATIONS / 2] / 1e3, seen_late[CALIBRATIONS * 99 / 100] / 1e3);
    fflush(stdout);
    do {
        if (sigwait(&awaited, &arrived) != 0)
            fail("sigwait");
        report(count);
    } while (arrived == SIGUSR1);
    return 0;
}
