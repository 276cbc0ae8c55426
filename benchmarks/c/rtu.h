/* What both ends of a measured line share: the CRC, the line's times, and waiting for a moment.
 *
 * Times are nanoseconds of CLOCK_MONOTONIC. Source of the silences: Modbus over Serial Line V1.02, 2.5.1.1.
 */

#ifndef RTU_H
#define RTU_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <termios.h>
#include <time.h>

#define REQUEST_LENGTH 8
#define MAX_COUNT 125
#define MAX_REPLY (5 + 2 * MAX_COUNT)

static inline uint16_t crc16(const uint8_t *data, size_t length)
{
    uint16_t crc = 0xFFFF;
    for (size_t i = 0; i < length; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? (crc >> 1) ^ 0xA001 : crc >> 1;
    }
    return crc;
}

static inline size_t with_crc(uint8_t *frame, size_t length)
{
    uint16_t crc = crc16(frame, length);
    frame[length] = crc & 0xFF;
    frame[length + 1] = crc >> 8;
    return length + 2;
}

/* The silence between two frames counts characters of 11 bits, whatever the format in use. */
static inline int64_t t3_5_ns(long baud)
{
    return baud > 19200 ? 1750000 : (77 * 1000000000LL + 2 * baud - 1) / (2 * baud);
}

/* Time of `count` characters of `bits` bits. */
static inline int64_t wire_ns(long baud, int bits, size_t count)
{
    return (int64_t)count * bits * 1000000000LL / baud;
}

static inline int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static inline void sleep_until(int64_t at)
{
    struct timespec when = {at / 1000000000LL, at % 1000000000LL};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR)
        ;
}

/* The calling thread is woken 1 us late at most by intention; by default the kernel allows itself 50. */
static inline void fine_timers(void)
{
    prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
}

static inline int make_raw(int fd)
{
    struct termios settings;
    if (tcgetattr(fd, &settings) != 0)
        return -1;
    cfmakeraw(&settings);
    return tcsetattr(fd, TCSANOW, &settings);
}

#endif
