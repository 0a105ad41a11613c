/**
 * WebSocket close codes of a link, those above 4000 of the private range (RFC 6455 section 7.4.2). Anybody in between can make them up; at worst a
 * device tries again.
 */
export const LINK_CLOSE = {
  goingAway: 1001,
  refused: 4000,
  unknownSealingKey: 4001,
} as const;
