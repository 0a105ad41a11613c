import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runProcess } from "./processes.ts";

/** A certificate and its private key, each the path of a PEM file. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority for the certificates of one test, made by openssl in a folder of the test's. */
export interface Authority {
  /** Path of its certificate (PEM). */
  readonly ca: string;
  /** A certificate for a server at 127.0.0.1, or for a client of that common name; for less than no days one that has expired. */
  issue(commonName: string, validity?: { readonly days: number }): Promise<Certificate>;
}

export async function createAuthority(folder: string): Promise<Authority> {
  const at = (name: string): string => join(folder, name);
  const openssl = async (...words: string[]): Promise<void> => {
    const { code, stderr } = await runProcess("openssl", words, { env: { HOME: folder } });
    if (code !== 0) throw new Error(`openssl ${words.join(" ")}: ${stderr}`);
  };
  const newKey = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await openssl(...newKey, "-x509", "-days", "2", "-subj", "/CN=test", "-keyout", at("ca.key"), "-out", at("ca.pem"));
  await writeFile(at("server.ext"), "subjectAltName=IP:127.0.0.1\n");
  return {
    ca: at("ca.pem"),
    async issue(commonName, { days } = { days: 2 }) {
      const [cert, key, request] = [at(`${commonName}.pem`), at(`${commonName}.key`), at(`${commonName}.csr`)];
      await openssl(...newKey, "-subj", `/CN=${commonName}`, "-keyout", key, "-out", request);
      const signing = ["-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial", "-days", String(days)];
      await openssl("x509", "-req", "-in", request, ...signing, "-extfile", at("server.ext"), "-out", cert);
      return { cert, key };
    },
  };
}
