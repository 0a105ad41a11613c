import constants from "ssh2/lib/protocol/constants.js";

/*
 * To be loaded ahead of ssh2. Its server looks the modes of a `pty-req` up by their numbers in a table that has them by their
 * names, and ends the connection for each it does not find. So the numbers are put into the table, with IUTF8 (RFC 8160),
 * and those that nobody knows under names that nobody uses.
 */
const table: Record<string, number | string> = constants.TERMINAL_MODE;
const names = new Map(Object.entries(table).map(([name, value]) => [value, name]));
names.set(42, "IUTF8");
for (let code = 1; code < 160; code++) table[code] = names.get(code) ?? `MODE_${code}`;
