import { describe, expect, test } from "vitest";
import { base64, fromBase64, utf8 } from "../../../keys/bytes.ts";
import { Ed25519PrivateKey, Ed25519PublicKey } from "../../../keys/ed25519.ts";
import { type Checkpoint, openCheckpoint, signCheckpoint } from "../../../protocol/log/checkpoint.ts";
import {
  cosign,
  parseWitness,
  printWitness,
  withCosignatures,
  witnessTimes,
} from "../../../protocol/log/cosignature.ts";
import { keyIdOf, parseNote, parseVerifierKey, printNote } from "../../../protocol/log/note.ts";
import { nativeSuite } from "../../../protocol/suite/native.ts";
import { SUITES } from "../../support/suites.ts";
import { repeatableRandom } from "../fixtures.ts";
import { expectLogRefusal } from "./refusal.ts";

const suite = nativeSuite;
const random = repeatableRandom("checkpoints");
const newKey = (): Ed25519PrivateKey => Ed25519PrivateKey.generate(suite, random);
const [logKey, otherKey, ada, ben, cy] = [newKey(), newKey(), newKey(), newKey(), newKey()];
const origin = "np.example.org:7800/log";
const log = { origin, publicKey: logKey.publicKey };
const checkpoint: Checkpoint = { origin, size: 12, root: random(32) };
const signed = signCheckpoint(suite, logKey, checkpoint);
const refused = expect.objectContaining({ code: "E_PROTOCOL" });

// A checkpoint of a public log with the cosignatures of public witnesses, as it was served on 2026-05-23.
const PUBLISHED = {
  log: "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f",
  witnesses: [
    "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
    "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
  ],
  note: `arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
`,
};

describe.each(SUITES)("a checkpoint of a public log, on the $name suite", (each) => {
  const { name, publicKey } = parseVerifierKey(each, PUBLISHED.log);
  const publicLog = { origin: name, publicKey };

  test("opens, whatever signatures of other types and keys are beside the log's", () => {
    const opened = openCheckpoint(each, PUBLISHED.note, publicLog);
    expect(opened).toEqual({
      origin: name,
      size: 1_432_088_532,
      root: fromBase64("U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro="),
      text: PUBLISHED.note,
    });
  });

  test("is cosigned by four public witnesses, at the time that they said", () => {
    const opened = openCheckpoint(each, PUBLISHED.note, publicLog);
    const witnesses = PUBLISHED.witnesses.map((key) => parseWitness(each, key));
    expect(witnesses.map((witness) => printWitness(each, witness))).toEqual(PUBLISHED.witnesses);
    const time = 1000 * 0x6a122120;
    expect(new Date(time).toISOString()).toMatch(/^2026-05-23/);
    expect(witnessTimes(each, opened, witnesses)).toEqual([time, time, time, time]);
  });

  test("does not open after any change to its text", () => {
    for (const [from, to] of [
      ["1432088532", "1432088533"],
      ["U7WM", "U7WN"],
      ["dev\n", "dew\n"],
    ] as const) {
      expectLogRefusal(() => openCheckpoint(each, PUBLISHED.note.replace(from, to), publicLog));
    }
  });
});

describe("a checkpoint of ours", () => {
  test("is three lines and one signature, and opens as what was signed", () => {
    expect(signed).toMatch(
      /^np\.example\.org:7800\/log\n12\n[A-Za-z0-9+/]{43}=\n\n— np\.example\.org:7800\/log [A-Za-z0-9+/=]{92}\n$/,
    );
    expect(openCheckpoint(suite, signed, log)).toEqual({ ...checkpoint, text: signed });
  });

  test("opens with lines of strangers around the log's, those of its own name or id included", () => {
    const { text, signatures } = parseNote(signed);
    const [own] = signatures;
    if (own === undefined) throw new Error("no signature");
    const strangers = [
      { ...own, keyId: Uint8Array.of(1, 2, 3, 4) },
      { ...own, name: "somebody.example" },
      { name: "else.example", keyId: new Uint8Array(4), signature: random(900) },
    ];
    const note = printNote({ text, signatures: [...strangers, own, ...strangers] });
    expect(openCheckpoint(suite, note, log)).toEqual({ ...checkpoint, text: note });
    expectLogRefusal(() => openCheckpoint(suite, printNote({ text, signatures: strangers }), log));
  });

  test("opens with its signature twice, and not with a bad one in the log's name beside a good one", () => {
    const { text, signatures } = parseNote(signed);
    const [own] = signatures;
    if (own === undefined) throw new Error("no signature");
    expect(openCheckpoint(suite, printNote({ text, signatures: [own, own] }), log)).toMatchObject(checkpoint);
    const bad = { ...own, signature: own.signature.with(3, (own.signature[3] ?? 0) ^ 1) as Uint8Array };
    for (const both of [
      [own, bad],
      [bad, own],
      [{ ...own, signature: own.signature.subarray(1) }, own],
    ]) {
      expectLogRefusal(() => openCheckpoint(suite, printNote({ text, signatures: both }), log));
    }
  });

  test("does not open for another log: another origin, another key, or a cosignature in place of the signature", () => {
    expectLogRefusal(() => openCheckpoint(suite, signed, { ...log, origin: "np.example.org:7800/other" }));
    expectLogRefusal(() => openCheckpoint(suite, signed, { ...log, publicKey: otherKey.publicKey }));
    expectLogRefusal(() => openCheckpoint(suite, signCheckpoint(suite, otherKey, checkpoint), log));
    // The log's key signed another log's checkpoint under this log's name.
    const text = parseNote(signed).text.replace("7800/log", "7800/other");
    const keyId = keyIdOf(suite, { name: origin, type: "ed25519", publicKey: logKey.publicKey });
    const note = printNote({ text, signatures: [{ name: origin, keyId, signature: suite.sign(logKey, utf8(text)) }] });
    expectLogRefusal(() => openCheckpoint(suite, note, log));
    const cosigned = cosign(suite, logKey, origin, signed, 1);
    expectLogRefusal(() => openCheckpoint(suite, `${parseNote(signed).text}\n${cosigned}`, log));
  });

  test("does not open for a tree without leaves", () => {
    expectLogRefusal(() => openCheckpoint(suite, signCheckpoint(suite, logKey, { ...checkpoint, size: 0 }), log));
  });

  test("does not open with any one bit flipped in its signature or its text", () => {
    const bytes = utf8(signed);
    let opened = 0;
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const text = Buffer.from(bytes.with(at, (bytes[at] ?? 0) ^ (1 << bit))).toString("utf8");
        try {
          openCheckpoint(suite, text, log);
          opened++;
        } catch (error) {
          expect(["E_LOG", "E_PROTOCOL"]).toContain((error as { code?: unknown }).code);
        }
      }
    }
    expect(opened).toBe(0);
  });

  const { root } = checkpoint;
  test.each([
    ["a line too few", `${origin}\n12\n`],
    ["an extension line", `${origin}\n12\n${base64(root)}\nmore\n`],
    ["an empty line more", `${origin}\n12\n${base64(root)}\n\n`],
    ["an empty origin", `\n12\n${base64(root)}\n`],
    ["a size with a leading zero", `${origin}\n012\n${base64(root)}\n`],
    ["a negative size", `${origin}\n-12\n${base64(root)}\n`],
    ["a size with a sign", `${origin}\n+12\n${base64(root)}\n`],
    ["a size in hex", `${origin}\n0xc\n${base64(root)}\n`],
    ["a size with a space", `${origin}\n12 \n${base64(root)}\n`],
    ["a size beyond 2^53 - 1", `${origin}\n9007199254740992\n${base64(root)}\n`],
    ["an endless size", `${origin}\n${"9".repeat(1000)}\n${base64(root)}\n`],
    ["an empty size", `${origin}\n\n${base64(root)}\n`],
    ["a root of 31 bytes", `${origin}\n12\n${base64(root.subarray(1))}\n`],
    ["a root of 33 bytes", `${origin}\n12\n${base64(Uint8Array.of(0, ...root))}\n`],
    ["a root without padding", `${origin}\n12\n${base64(root).slice(0, -1)}\n`],
    ["a root in hex", `${origin}\n12\n${Buffer.from(root).toString("hex")}\n`],
  ])("is refused with %s, though the log has signed it", (_, text) => {
    const keyId = keyIdOf(suite, { name: origin, type: "ed25519", publicKey: logKey.publicKey });
    const signatures = [{ name: origin, keyId, signature: suite.sign(logKey, utf8(text)) }];
    expect(() => openCheckpoint(suite, printNote({ text, signatures }), log)).toThrow(refused);
  });

  test("is not made with an origin that no key may have as its name, or of what is no size or root", () => {
    for (const spoiled of [
      { origin: "go.sum database tree" },
      { origin: "a+b" },
      { origin: "" },
      { origin: "a\nb" },
      { size: -1 },
      { size: 0.5 },
      { size: 2 ** 53 },
      { root: root.subarray(1) },
    ]) {
      expect(() => signCheckpoint(suite, logKey, { ...checkpoint, ...spoiled })).toThrow(RangeError);
    }
  });
});

describe("cosignatures", () => {
  const T = 1_767_225_600;
  const witnesses = [
    { name: "witness.example/ada", publicKey: ada.publicKey },
    { name: "witness.example/ben", publicKey: ben.publicKey },
    { name: "witness.example/cy", publicKey: cy.publicKey },
  ];
  const line = (key: Ed25519PrivateKey, name: string, seconds: number, text = signed): string =>
    cosign(suite, key, `witness.example/${name}`, text, seconds);
  const times = (lines: readonly string[], of = witnesses): number[] =>
    witnessTimes(suite, openCheckpoint(suite, `${signed}${lines.join("")}`, log), of);

  test("count once for each witness, newest first, in milliseconds", () => {
    expect(times([])).toEqual([]);
    const all = [line(ada, "ada", T), line(ben, "ben", T + 9), line(cy, "cy", T + 5)];
    expect(times(all)).toEqual([1000 * (T + 9), 1000 * (T + 5), 1000 * T]);
    expect(times(all, witnesses.slice(0, 1))).toEqual([1000 * T]);
    expect(times([line(ada, "ada", 0)])).toEqual([0]);
    expect(times([line(ada, "ada", 9_007_199_254_740)])).toEqual([9_007_199_254_740_000]);
    expect(times([line(ada, "ada", 9_007_199_254_741)])).toEqual([]);
    expect(times([line(ada, "ada", 2 ** 53 - 1)])).toEqual([]);
  });

  test("are the same line twice and count once; of several of one witness the newest counts", () => {
    expect(times([line(ada, "ada", T), line(ada, "ada", T)])).toEqual([1000 * T]);
    expect(times([line(ada, "ada", T), line(ada, "ada", T + 7), line(ada, "ada", T + 3)])).toEqual([1000 * (T + 7)]);
  });

  test("of one key under two names count once, as the name is not signed", () => {
    const names = [...witnesses.slice(0, 1), { name: "witness.example/eve", publicKey: ada.publicKey }];
    expect(times([line(ada, "ada", T), line(ada, "eve", T + 1)], names)).toEqual([1000 * (T + 1)]);
    expect(times([line(ada, "ada", T), line(ada, "eve", T + 1)], witnesses)).toEqual([1000 * T]);
  });

  test("of other keys, for other checkpoints, or that do not verify, neither count nor spoil the others", () => {
    const other = signCheckpoint(suite, logKey, { ...checkpoint, size: 13 });
    const good = line(ben, "ben", T);
    const bytes = fromBase64(line(ada, "ada", T).split(" ")[2]?.trim() ?? "");
    const withBytes = (changed: Uint8Array): string => `— witness.example/ada ${base64(changed)}\n`;
    expect(times([withBytes(bytes)])).toEqual([1000 * T]);
    for (const bad of [
      line(otherKey, "ada", T),
      line(ada, "ada", T, other),
      line(ada, "somebody", T),
      withBytes(bytes.subarray(0, -1)),
      withBytes(Uint8Array.of(...bytes, 0)),
      withBytes(bytes.subarray(0, 12)),
      withBytes(bytes.with(11, (bytes[11] ?? 0) ^ 1)),
      withBytes(bytes.with(4, 0x80)),
      withBytes(bytes.with(6, 0xff)),
      withBytes(bytes.with(75, (bytes[75] ?? 0) ^ 1)),
    ]) {
      expect(times([bad]), bad).toEqual([]);
      expect(times([bad, good, bad]), bad).toEqual([1000 * T]);
    }
    // The key id says that it is ada's; the signature is not.
    const { signatures } = parseNote(`x\n\n${line(otherKey, "ada", T)}`);
    const [forged] = signatures;
    if (forged === undefined) throw new Error("no line");
    const witness = witnesses[0] as (typeof witnesses)[number];
    const keyId = keyIdOf(suite, { ...witness, type: "cosignature" });
    const note = printNote({
      text: parseNote(signed).text,
      signatures: [...parseNote(signed).signatures, { ...forged, keyId }],
    });
    expect(witnessTimes(suite, openCheckpoint(suite, note, log), witnesses)).toEqual([]);
  });

  test("are not made of the log's own signature, nor a plain signature by a witness", () => {
    const { text, signatures } = parseNote(signed);
    const witness = { name: "witness.example/ada", publicKey: ada.publicKey };
    for (const type of ["ed25519", "cosignature"] as const) {
      const plain = {
        name: witness.name,
        keyId: keyIdOf(suite, { ...witness, type }),
        signature: suite.sign(ada, utf8(text)),
      };
      const note = printNote({ text, signatures: [...signatures, plain] });
      expect(witnessTimes(suite, openCheckpoint(suite, note, log), witnesses)).toEqual([]);
    }
  });

  test("sign the time and the text alone, so that those on the note before make no difference", () => {
    const once = withCosignatures(signed, [line(ada, "ada", T)]);
    expect(line(ben, "ben", T, once)).toBe(line(ben, "ben", T));
  });

  test("are added once, each in the place of an earlier one of the same key", () => {
    const [one, two, newer] = [line(ada, "ada", T), line(ben, "ben", T), line(ada, "ada", T + 60)];
    expect(withCosignatures(signed, [])).toBe(signed);
    expect(withCosignatures(signed, [one, two])).toBe(signed + one + two);
    expect(withCosignatures(signed + one + two, [newer])).toBe(signed + newer + two);
    expect(withCosignatures(signed, [one.trimEnd(), newer])).toBe(signed + newer);
    expect(openCheckpoint(suite, withCosignatures(signed, [one, two]), log)).toMatchObject(checkpoint);
  });

  test("are not added when they are none, stand for the log's own key, or are too many", () => {
    const [own] = parseNote(signed).signatures;
    if (own === undefined) throw new Error("no signature");
    const forged = `— ${origin} ${base64(Uint8Array.of(...own.keyId, ...new Uint8Array(72)))}\n`;
    const many = Array.from({ length: 16 }, (_, index) => line(ada, `${index}`, T));
    for (const lines of [[signed.split("\n")[4] ?? ""], [forged], [""], ["x\n"], [`${line(ada, "ada", T)}\n`], many]) {
      expect(() => withCosignatures(signed, lines)).toThrow(refused);
    }
    expect(withCosignatures(signed, many.slice(1))).toHaveLength(signed.length + many.slice(1).join("").length);
    expect(() => withCosignatures("x", [])).toThrow(refused);
  });

  test("are not made at a time or under a name that cannot be", () => {
    for (const seconds of [-1, 0.5, Number.NaN, 2 ** 53]) expect(() => line(ada, "ada", seconds)).toThrow(RangeError);
    for (const name of ["a b", "a+b", "a\n"]) expect(() => line(ada, name, T)).toThrow(RangeError);
    expect(() => cosign(suite, ada, "ada", "no note", T)).toThrow(refused);
  });

  test("are made by witnesses, whose verifier keys are of that type alone", () => {
    const witness = { name: "witness.example/ada", publicKey: ada.publicKey };
    expect(parseWitness(suite, printWitness(suite, witness))).toEqual(witness);
    expect(() => parseWitness(suite, PUBLISHED.log)).toThrow(refused);
    expect(Ed25519PublicKey.parse(witness.publicKey.bytes).equals(ada.publicKey)).toBe(true);
  });
});
