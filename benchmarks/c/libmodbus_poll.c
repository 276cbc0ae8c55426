/* A bare libmodbus loop: read holding registers from 0 on, again and again, and nothing else.
 *
 *     libmodbus_poll PORT BAUD UNIT COUNT
 *
 * The least a master in C can be, to compare the daemon's processor time with. Ends when it is killed;
 * exit status 1 with a word of why when the port does not open.
 */

#include <errno.h>
#include <modbus/modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    uint16_t registers[MODBUS_MAX_READ_REGISTERS];
    if (argc != 5) {
        fprintf(stderr, "usage: %s PORT BAUD UNIT COUNT\n", argv[0]);
        return 2;
    }
    int count = atoi(argv[4]);
    if (count < 1 || count > MODBUS_MAX_READ_REGISTERS) {
        fprintf(stderr, "COUNT is 1 to %d\n", MODBUS_MAX_READ_REGISTERS);
        return 2;
    }
    modbus_t *line = modbus_new_rtu(argv[1], atoi(argv[2]), 'N', 8, 1);
    if (line == NULL || modbus_set_slave(line, atoi(argv[3])) != 0 || modbus_connect(line) != 0) {
        fprintf(stderr, "%s: %s\n", argv[1], modbus_strerror(errno));
        return 1;
    }
    modbus_set_response_timeout(line, 1, 0);
    for (;;)
        if (modbus_read_registers(line, 0, count, registers) != count)
            fprintf(stderr, "%s: %s\n", argv[1], modbus_strerror(errno));
}
