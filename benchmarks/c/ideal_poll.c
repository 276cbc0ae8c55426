/* As fast as a master may be that keeps t3.5: one request after the other, and nothing else.
 *
 *     ideal_poll PORT BAUD UNIT COUNT
 *
 * It knows that the reply begins t3.5 after the request: it sleeps to the reply's end, reads, sleeps t3.5
 * from the moment it had the last byte, and writes the next request. What it misses of the line's limit
 * is what this machine's timers, scheduler and pseudo-terminals take. Ends when it is killed.
 */

#include "rtu.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TIMEOUT_MS 1000

/* Read until `length` bytes are there; what has come when nothing comes any more. */
static size_t read_all(int port, uint8_t *reply, size_t length)
{
    size_t have = 0;
    while (have < length) {
        struct pollfd input = {port, POLLIN, 0};
        if (poll(&input, 1, TIMEOUT_MS) <= 0)
            return have;
        ssize_t got = read(port, reply + have, length - have);
        if (got <= 0)
            return have;
        have += (size_t)got;
    }
    return have;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: %s PORT BAUD UNIT COUNT\n", argv[0]);
        return 2;
    }
    long baud = atol(argv[2]);
    int count = atoi(argv[4]);
    if (baud < 300 || count < 1 || count > MAX_COUNT) {
        fprintf(stderr, "BAUD is at least 300, COUNT is 1 to %d\n", MAX_COUNT);
        return 2;
    }
    int port = open(argv[1], O_RDWR | O_NOCTTY);
    if (port < 0 || make_raw(port) != 0) {
        perror(argv[1]);
        return 1;
    }
    fine_timers();
    tcflush(port, TCIOFLUSH);
    uint8_t request[REQUEST_LENGTH] = {(uint8_t)atoi(argv[3]), 3, 0, 0, 0, (uint8_t)count};
    uint8_t reply[MAX_REPLY];
    size_t length = 5 + 2 * (size_t)count;
    with_crc(request, 6);
    for (;;) {
        int64_t begin = now_ns();
        if (write(port, request, sizeof request) != sizeof request) {
            perror(argv[1]);
            return 1;
        }
        sleep_until(begin + wire_ns(baud, 10, sizeof request + length) + t3_5_ns(baud));
        if (read_all(port, reply, length) != length || crc16(reply, length) != 0) {
            fprintf(stderr, "%s: no valid reply\n", argv[1]);
            tcflush(port, TCIFLUSH);
        }
        sleep_until(now_ns() + t3_5_ns(baud));
    }
}
