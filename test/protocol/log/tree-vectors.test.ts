import { describe, expect, test } from "vitest";
import { fromBase64, hex, utf8 } from "../../../keys/bytes.ts";
import { emptyRoot, leafHash, nodeHash, verifyConsistency, verifyInclusion } from "../../../protocol/log/tree.ts";
import { hasPublicVectors, readPublicVectors } from "../../support/public-vectors.ts";
import { SUITES } from "../../support/suites.ts";

interface Case {
  readonly case: string;
  readonly wantErr: boolean;
  readonly proof: readonly string[] | null;
}

interface Vectors {
  readonly inclusion: readonly (Case & { leafIdx: number; treeSize: number; root: string; leafHash: string })[];
  readonly consistency: readonly (Case & { size1: number; size2: number; root1: string; root2: string })[];
}

const vectors = hasPublicVectors ? (readPublicVectors("rfc6962.json") as Vectors) : { inclusion: [], consistency: [] };
const E_LOG = expect.objectContaining({ code: "E_LOG", name: "SecurityError" });

test.skipIf(!hasPublicVectors)("there are 196 vectors of RFC 6962, of which 12 hold", () => {
  const all = [...vectors.inclusion, ...vectors.consistency];
  expect(all).toHaveLength(196);
  expect(all.filter(({ wantErr }) => !wantErr)).toHaveLength(12);
});

describe.skipIf(!hasPublicVectors).each(SUITES)("the vectors of RFC 6962 on the $name suite", (suite) => {
  test.each(vectors.inclusion.map((vector) => [vector.case, vector] as const))("%s", (_, vector) => {
    const verify = (): void =>
      verifyInclusion(suite, {
        index: vector.leafIdx,
        size: vector.treeSize,
        root: fromBase64(vector.root),
        leafHash: fromBase64(vector.leafHash),
        proof: (vector.proof ?? []).map((hash) => fromBase64(hash)),
      });
    if (vector.wantErr) expect(verify).toThrow(E_LOG);
    else verify();
  });

  // The roots of a few are not 32 bytes; those of one size need only be equal.
  test.each(vectors.consistency.map((vector) => [vector.case, vector] as const))("%s", (_, vector) => {
    const verify = (): void =>
      verifyConsistency(suite, {
        oldSize: vector.size1,
        newSize: vector.size2,
        oldRoot: fromBase64(vector.root1),
        newRoot: fromBase64(vector.root2),
        proof: (vector.proof ?? []).map((hash) => fromBase64(hash)),
      });
    if (vector.wantErr) expect(verify).toThrow(E_LOG);
    else verify();
  });
});

test.each(SUITES)("leaf, node and empty tree are hashed as RFC 6962 section 2.1 says, on the $name suite", (suite) => {
  expect(hex(emptyRoot(suite))).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  expect(hex(leafHash(suite, new Uint8Array(0)))).toBe(
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  );
  // From the test data of Certificate Transparency's own implementations.
  expect(hex(leafHash(suite, utf8("L123456")))).toBe(
    "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56",
  );
  expect(hex(nodeHash(suite, utf8("N123"), utf8("N456")))).toBe(
    "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb",
  );
});
