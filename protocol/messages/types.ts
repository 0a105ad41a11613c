/** Type bytes of sealed messages to the directory by POST; see the files beside this one for their bodies. */
export const REQUEST = {
  session: 1,
  withdraw: 2,
  activationStart: 3,
  activate: 4,
  putStatements: 5,
  rendezvousActivationStart: 6,
  rendezvousActivate: 7,
  rendezvousReport: 8,
  readStatements: 9,
  putPassword: 10,
  enrol: 11,
  ownStatements: 12,
  readEnrolments: 13,
  denyEnrolment: 14,
  listDevices: 15,
  /** Not 16 to 18 and 20 to 23, which are those of a link. */
  listRendezvous: 19,
} as const;

/** Type bytes of sealed messages on a device's link. */
export const LINK = {
  /** device -> directory */
  hello: 16,
  answer: 17,
  watching: 18,
  /** 19 is a request's. */
  distances: 20,
  /** device -> directory by an MQTT broker: broker.ts */
  brokerHello: 21,
  goodbye: 22,
  brokerToken: 23,
  /** directory -> device */
  welcome: 32,
  notify: 33,
  names: 34,
  keyList: 35,
  /** Last message of the directory on this link: u8 refusal code. */
  refused: 36,
  /** The device's own statements and its name's policy, at the start and when they change. */
  own: 37,
  /** A client that the device watches: its newest statements. */
  changed: 38,
  /** directory -> device by an MQTT broker: broker.ts. */
  wake: 40,
  probe: 41,
} as const;

/** Type bytes of the frames of a response. */
export const FRAME = {
  welcome: 1,
  keepAlive: 2,
  refused: 3,
  ticket: 4,
  waiting: 5,
  answer: 6,
  /** The device could not open msg1: a code that only the directory vouches for. */
  deviceCode: 7,
  binding: 8,
  activation: 9,
  done: 10,
  rendezvous: 11,
  logged: 12,
  statements: 13,
  pending: 14,
  enrolments: 15,
  devices: 16,
} as const;
