import * as v from "valibot";

/** What authorized-keys-child.ts is told on stdin. */
export interface ChildOrder {
  readonly login: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  /** An OpenSSH public key line. */
  readonly key: string;
  readonly comment: string;
}

/** And what it answers on stdout: whether the key was added rather than there already, or why neither. */
export type ChildAnswer =
  | { readonly added: boolean }
  | { readonly code: "E_KEY_PERMISSIONS" | "E_STORAGE"; readonly fact: string; readonly next: string };

const id = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

export const childOrderSchema: v.GenericSchema<ChildOrder> = v.strictObject({
  login: v.string(),
  uid: id,
  gid: id,
  home: v.string(),
  key: v.string(),
  comment: v.string(),
});

export const childAnswerSchema: v.GenericSchema<ChildAnswer> = v.union([
  v.strictObject({ added: v.boolean() }),
  v.strictObject({ code: v.picklist(["E_KEY_PERMISSIONS", "E_STORAGE"]), fact: v.string(), next: v.string() }),
]);
