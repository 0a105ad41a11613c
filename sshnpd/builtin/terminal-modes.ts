/**
 * The words that make stty(1) set the terminal modes of a `pty-req` (RFC 4254 section 8), by the names that ssh2 gives
 * them. What stty of Linux has no word for is left out.
 */
export function sttyWords(modes: Readonly<Record<string, number | undefined>>): string[] {
  return Object.entries(modes).flatMap(([name, value]) => {
    const character = CHARACTERS.get(name);
    if (value === undefined || !Number.isInteger(value) || value < 0) return [];
    if (character !== undefined)
      return value > 255 ? [] : [character, value === 255 ? "undef" : `0x${value.toString(16)}`];
    return FLAGS.has(name) ? [`${value === 0 ? "-" : ""}${name.toLowerCase()}`] : [];
  });
}

const CHARACTERS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    VINTR: "intr",
    VQUIT: "quit",
    VERASE: "erase",
    VKILL: "kill",
    VEOF: "eof",
    VEOL: "eol",
    VEOL2: "eol2",
    VSTART: "start",
    VSTOP: "stop",
    VSUSP: "susp",
    VREPRINT: "rprnt",
    VWERASE: "werase",
    VLNEXT: "lnext",
    VDISCARD: "discard",
  }),
);

const FLAGS: ReadonlySet<string> = new Set(
  (
    "IGNPAR PARMRK INPCK ISTRIP INLCR IGNCR ICRNL IUCLC IXON IXANY IXOFF IMAXBEL IUTF8 ISIG ICANON ECHO ECHOE ECHOK " +
    "ECHONL NOFLSH TOSTOP IEXTEN ECHOCTL ECHOKE OPOST OLCUC ONLCR OCRNL ONOCR ONLRET PARENB PARODD"
  ).split(" "),
);
