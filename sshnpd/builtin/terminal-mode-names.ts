import constants from "ssh2/lib/protocol/constants.js";
import { assert, SshnpError } from "../../keys/errors.ts";
import { ByteReader, ByteWriter, utf8Text } from "../../keys/bytes.ts";

/*
 * To be loaded ahead of ssh2. Its server reads the terminal modes of a `pty-req` (RFC 4254 section 8) from their second byte
 * on, so that it mostly finds none, and looks what it finds up by number in a table that has it by name, and ends the
 * connection where it finds nothing. So the numbers are put into the table, with IUTF8 (RFC 8160), and those that nobody
 * knows under names that nobody uses; and a request is given a byte more for ssh2 to skip.
 */
const table: Record<string, number | string> = constants.TERMINAL_MODE;
const names = new Map(Object.entries(table).map(([name, value]) => [value, name]));
names.set(42, "IUTF8");
for (let code = 1; code < 256; code++) table[code] = names.get(code) ?? `MODE_${code}`;

// Only now, for it copies the table.
const { default: handlers } = await import("ssh2/lib/protocol/handlers.js");
const handleRequest = handlers[98];
assert(handleRequest !== undefined, "ssh2 has a handler for SSH_MSG_CHANNEL_REQUEST");
handlers[98] = (protocol, payload) => handleRequest(protocol, withRoomAheadOfModes(payload));

/** The payload, with a byte ahead of the modes when it is a `pty-req`. */
function withRoomAheadOfModes(payload: Buffer): Buffer {
  try {
    const reader = new ByteReader(payload);
    const head = reader.raw(5);
    const type = reader.bytes32();
    if (utf8Text(type) !== "pty-req") return payload;
    const reply = reader.u8();
    const term = reader.bytes32();
    const size = reader.raw(16);
    const modes = reader.bytes32();
    const writer = new ByteWriter().raw(head).bytes32(type).u8(reply).bytes32(term).raw(size);
    return Buffer.from(writer.bytes32(Buffer.concat([Buffer.of(0), modes])).done());
  } catch (error) {
    if (error instanceof SshnpError) return payload; // for ssh2 to refuse
    throw error;
  }
}
