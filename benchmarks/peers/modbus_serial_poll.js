// What people write with modbus-serial: a loop that reads registers of some units.
//
// node modbus_serial_poll.js PORT BAUD UNITS COUNT PERIOD_S     (NODE_PATH says where modbus-serial is)

const ModbusRTU = require("modbus-serial");

const [port, ...numbers] = process.argv.slice(2);
const [baud, units, count, periodS] = numbers.map(Number);

async function main() {
  const client = new ModbusRTU();
  await client.connectRTUBuffered(port, { baudRate: baud });
  client.setTimeout(1000);
  for (;;) {
    for (let unit = 1; unit <= units; unit++) {
      client.setID(unit);
      await client.readHoldingRegisters(0, count).catch((error) => console.error(error.message));
    }
    if (periodS) await new Promise((resolve) => setTimeout(resolve, periodS * 1000));
  }
}

main();
