import * as fc from "fast-check";
import jsqr from "jsqr";
import { decodeQR } from "qr/decode.js";
import { expect, test } from "vitest";
import { drawQrCode } from "../../keys/qr-code.ts";
import { DARK, LIGHT, photograph, type Theme, withoutColours } from "../support/qr-screen.ts";

const jsQR = jsqr.default; // a CommonJS module, whose types tell of another default
const FINGERPRINT = "SHA256:dFAWqxwwIKlVzGElCy05hwwYMBc2AUO0P10w3ACjPdU";
const THEMES: [string, Theme][] = [
  ["dark", DARK],
  ["light", LIGHT],
];

test.each(THEMES)("the code of an owner key is read off a %s terminal by two decoders", async (_, theme) => {
  const name = fc.stringMatching(/^@[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/);
  await fc.assert(
    fc.asyncProperty(name, async (text) => {
      const argument = `${text}=${FINGERPRINT}`;
      const image = photograph((await drawQrCode(argument)).split("\n"), 80, theme);
      expect(jsQR(image.data, image.width, image.height)?.data).toBe(argument);
      expect(decodeQR({ ...image })).toBe(argument);
    }),
    { numRuns: 25 },
  );
});

test.each([
  ["@device", 41, 21],
  [`@${"a".repeat(32)}`, 45, 23],
])("the code of %s is %d columns wide and %d lines high", async (name, columns, rows) => {
  const lines = (await drawQrCode(`${name}=${FINGERPRINT}`)).split("\n").slice(0, -1);
  expect(lines).toHaveLength(rows);
  for (const line of lines) expect(withoutColours(line)).toMatch(new RegExp(`^[ ▀▄█]{${columns}}$`, "u"));
});

test("a decoder finds nothing where the colours are left to a dark terminal's theme upside down", async () => {
  const drawn = await drawQrCode(`@device=${FINGERPRINT}`);
  const image = photograph(withoutColours(drawn).split("\n"), 80, DARK);
  expect(jsQR(image.data, image.width, image.height, { inversionAttempts: "dontInvert" })).toBeNull();
});

test.each([["x".repeat(85)], [""], ["a\nb"], ["\u202e"]])("%j is refused", async (text) => {
  await expect(drawQrCode(text)).rejects.toThrow(RangeError);
});
