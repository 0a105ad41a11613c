import type { Attack } from "./attack.ts";
import { connectionFlood } from "./connection-flood.ts";
import { crossedLegs } from "./crossed-legs.ts";
import { flippedBits } from "./flipped-bits.ts";
import { fragments } from "./fragments.ts";
import { frames } from "./frames.ts";
import { garbage } from "./garbage.ts";
import { garbageInSession } from "./garbage-in-session.ts";
import { hostileDirectory } from "./hostile-directory.ts";
import { hostileLink } from "./hostile-link.ts";
import { hostileRendezvous } from "./hostile-rendezvous.ts";
import { idlePairs } from "./idle-pairs.ts";
import { replayedHellos } from "./replayed-hellos.ts";
import { replayedMessages } from "./replayed-messages.ts";
import { requestFlood } from "./request-flood.ts";
import { slowHello } from "./slow-hello.ts";
import { slowHttp } from "./slow-http.ts";
import { stoppedReaders } from "./stopped-readers.ts";
import { unpairedLegs } from "./unpaired-legs.ts";

/** All attacks, in an order in which those that take much of the processor have others beside them when three are made at a time. */
export const ATTACKS: readonly Attack[] = [
  garbage,
  stoppedReaders,
  replayedHellos,
  frames,
  unpairedLegs,
  crossedLegs,
  slowHello,
  idlePairs,
  flippedBits,
  slowHttp,
  replayedMessages,
  hostileRendezvous,
  connectionFlood,
  requestFlood,
  garbageInSession,
  fragments,
  hostileLink,
  hostileDirectory,
];
