import type { Attack } from "./attack.ts";
import { crossedLegs } from "./crossed-legs.ts";
import { flippedBits } from "./flipped-bits.ts";
import { fragments } from "./fragments.ts";
import { frames } from "./frames.ts";
import { garbage } from "./garbage.ts";
import { replayedHellos } from "./replayed-hellos.ts";
import { slowHello } from "./slow-hello.ts";
import { slowHttp } from "./slow-http.ts";
import { unpairedLegs } from "./unpaired-legs.ts";

/** All attacks. */
export const ATTACKS: readonly Attack[] = [
  garbage,
  frames,
  slowHello,
  slowHttp,
  unpairedLegs,
  fragments,
  replayedHellos,
  crossedLegs,
  flippedBits,
];
