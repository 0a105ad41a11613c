import { ByteWriter } from "../../../keys/bytes.ts";

/** Of draft-ietf-secsh-filexfer-02 section 7. */
export const STATUS = {
  ok: 0,
  eof: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  badMessage: 5,
  unsupported: 8,
} as const;

export type Status = keyof typeof STATUS;

/** A reply without its id. */
export type Reply =
  | { readonly type: "status"; readonly status: Status }
  | { readonly type: "handle"; readonly handle: string }
  | { readonly type: "data"; readonly data: Uint8Array }
  | { readonly type: "names"; readonly names: readonly NameEntry[] }
  | { readonly type: "attributes"; readonly attributes: Uint8Array }
  | { readonly type: "extended"; readonly data: Uint8Array };

export interface NameEntry {
  readonly name: Uint8Array;
  /** A line as ls -l prints it. */
  readonly longName: Uint8Array;
  readonly attributes: Uint8Array;
}

export const OK: Reply = { type: "status", status: "ok" };

/** A whole packet. */
export function encodeReply(id: number, reply: Reply): Uint8Array {
  return packet(body(id, reply));
}

/** The answer to INIT: version 3, and OpenSSH's extensions with their versions. */
export function encodeVersion(): Uint8Array {
  const writer = new ByteWriter().u8(2).u32(3);
  for (const [name, version] of EXTENSIONS) writer.bytes32(text(name)).bytes32(text(version));
  return packet(writer);
}

const EXTENSIONS = [
  ["posix-rename@openssh.com", "1"],
  ["statvfs@openssh.com", "2"],
  ["fstatvfs@openssh.com", "2"],
  ["hardlink@openssh.com", "1"],
  ["fsync@openssh.com", "1"],
  ["limits@openssh.com", "1"],
  ["expand-path@openssh.com", "1"],
] as const;

const MESSAGES: Readonly<Record<Status, string>> = {
  ok: "Success",
  eof: "End of file",
  noSuchFile: "No such file",
  permissionDenied: "Permission denied",
  failure: "Failure",
  badMessage: "Bad message",
  unsupported: "Operation unsupported",
};

function body(id: number, reply: Reply): ByteWriter {
  switch (reply.type) {
    case "status":
      return new ByteWriter()
        .u8(101)
        .u32(id)
        .u32(STATUS[reply.status])
        .bytes32(text(MESSAGES[reply.status]))
        .bytes32(text("en"));
    case "handle":
      return new ByteWriter().u8(102).u32(id).bytes32(text(reply.handle));
    case "data":
      return new ByteWriter().u8(103).u32(id).bytes32(reply.data);
    case "names": {
      const writer = new ByteWriter().u8(104).u32(id).u32(reply.names.length);
      for (const { name, longName, attributes } of reply.names) writer.bytes32(name).bytes32(longName).raw(attributes);
      return writer;
    }
    case "attributes":
      return new ByteWriter().u8(105).u32(id).raw(reply.attributes);
    case "extended":
      return new ByteWriter().u8(201).u32(id).raw(reply.data);
  }
}

function packet(writer: ByteWriter): Uint8Array {
  return new ByteWriter().bytes32(writer.done()).done();
}

function text(ascii: string): Uint8Array {
  return Buffer.from(ascii, "latin1");
}
