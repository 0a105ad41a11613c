import type { Attack } from "./attack.ts";
import { garbage } from "./garbage.ts";
import { slowHello } from "./slow-hello.ts";
import { slowHttp } from "./slow-http.ts";
import { unpairedLegs } from "./unpaired-legs.ts";

/** All attacks. */
export const ATTACKS: readonly Attack[] = [garbage, slowHello, slowHttp, unpairedLegs];
