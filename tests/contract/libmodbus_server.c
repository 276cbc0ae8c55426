/* A libmodbus slave: `rtu PATH` or `tcp PORT`. Says READY when it listens.
 * The same registers and bits as pymodbus_server.py, unit 1. */
#include <errno.h>
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint16_t words[16] = {0x4148, 0xF5C3, 0xFFFE, 0x1234, 0x0000, 0x0001, 0xFFFF, 0x8000,
                                   0x3FF3, 0xC0CA, 0x428C, 0x59FB, 0x4142, 0x4300, 0x9876, 0x5432};

int main(int argc, char **argv)
{
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    int rtu = argc > 2 && !strcmp(argv[1], "rtu");
    modbus_t *ctx = rtu ? modbus_new_rtu(argv[2], 115200, 'N', 8, 1)
                        : modbus_new_tcp("127.0.0.1", argc > 2 ? atoi(argv[2]) : 0);
    modbus_mapping_t *map = modbus_mapping_new(20, 20, 16, 16);
    int socket = -1, length, i;

    if (!ctx || !map)
        return 1;
    for (i = 0; i < 16; i++) {
        map->tab_registers[i] = words[i];
        map->tab_input_registers[i] = words[i] + 1;
    }
    for (i = 0; i < 20; i++)
        map->tab_bits[i] = map->tab_input_bits[i] = i % 3 == 0;
    modbus_set_slave(ctx, 1);
    if (rtu) {
        if (modbus_connect(ctx))
            return 1;
    } else if ((socket = modbus_tcp_listen(ctx, 1)) < 0) {
        return 1;
    }
    puts("READY");
    fflush(stdout);
    if (!rtu)
        modbus_tcp_accept(ctx, &socket);
    for (;;) {
        length = modbus_receive(ctx, query);
        if (length > 0)
            modbus_reply(ctx, query, length, map);
        else if (length < 0 && !rtu)
            return 0;
    }
}
