/** WebSocket close codes of a link, of the private range (RFC 6455 section 7.4.2). They hint; nothing is decided by them. */
export const LINK_CLOSE = {
  goingAway: 1001,
  refused: 4000,
  unknownSealingKey: 4001,
} as const;
