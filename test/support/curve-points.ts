import { ed25519 } from "@noble/curves/ed25519.js";

export type EdwardsPoint = typeof ed25519.Point.BASE;

/** The eight points of small order on edwards25519. */
export const SMALL_ORDER_POINTS: readonly EdwardsPoint[] = smallOrderPoints();

function smallOrderPoints(): EdwardsPoint[] {
  const generator = pointOfOrderEight();
  const points = [ed25519.Point.ZERO];
  for (let i = 1; i < 8; i++) points.push((points[i - 1] ?? generator).add(generator));
  return points;
}

function pointOfOrderEight(): EdwardsPoint {
  for (let y = 2; ; y++) {
    const bytes = new Uint8Array(32);
    bytes[0] = y;
    const torsion = decode(bytes)
      ?.multiplyUnsafe(ed25519.Point.Fn.ORDER - 1n)
      .add(decode(bytes) ?? ed25519.Point.ZERO);
    if (torsion?.double().double().equals(ed25519.Point.ZERO) === false) return torsion;
  }
}

function decode(bytes: Uint8Array): EdwardsPoint | undefined {
  try {
    return ed25519.Point.fromBytes(bytes);
  } catch {
    return undefined;
  }
}
