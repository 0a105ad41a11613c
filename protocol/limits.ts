// Noise
export const NOISE_MESSAGE_BYTES = 65_535; // Noise rev 34 section 3
export const KEM_PUBLIC_KEY_BYTES = 1184; // ML-KEM-768, FIPS 203 table 3
export const KEM_CIPHERTEXT_BYTES = 1088; // ML-KEM-768, FIPS 203 table 3

// Statements and key list
export const STATEMENT_BYTES = 8 * 1024; // text of one statement; a policy of a few hundred lines fits
export const SIGNATURE_BYTES = 1024; // an SSHSIG blob; Ed25519 needs 166, FIDO keys below 400
export const KEY_LIST_BYTES = 4 * 1024; // text of a directory key list
export const MAX_RENDEZVOUS_ADDRESSES = 4; // of one rendezvous: TCP and WebSocket, IPv4 and IPv6

// Sealed messages and their answers
export const SEALED_MESSAGE_BYTES = 60 * 1024; // below the smallest common limit of a transport (64 KiB frames)
export const FRESHNESS_MS = 60_000; // how far a sender's clock may be off before it is answered with a nonce
export const MESSAGE_ID_MS = 120_000; // ids stay unique for twice the freshness, so that no replay fits in between
export const NONCE_MS = 60_000; // life of a nonce that the directory handed out
export const RESPONSE_FRAME_BYTES = 64 * 1024; // one frame of an answer
export const KEEPALIVE_MS = 15_000; // between frames of an answer; below the idle limit of common proxies (30 s)

// Tickets and legs
export const TICKET_MS = 60 * 60_000; // life of a ticket: long enough for a slow dial, short enough to be forgotten
export const TICKET_ENTRIES = 3; // rendezvous offered in one ticket
export const TICKET_ENTRIES_BYTES = 800; // all entries together, so that a hello stays within its limit
export const HELLO_BYTES = 1024; // a whole leg hello, ticket included
export const HELLO_MS = 5_000; // two round trips on a bad mobile link
export const UNPAIRED_LEG_MS = 15_000; // a leg waits this long for the other one
export const EARLY_DATA_BYTES = 64 * 1024; // held for an unpaired leg
export const FIRST_FLIGHT_BYTES = 60 * 1024; // records kept by a client until the device's CONFIRM; below EARLY_DATA_BYTES

// Handshake payloads
export const HOST_KEYS = 8; // SSH host keys of one device; OpenSSH makes three
export const SSH_KEY_BYTES = 4 * 1024; // one SSH public key blob; RSA of 16,384 bits fits
export const REASON_BYTES = 512; // text of a refusal
export const SESSION_CACHE = 4096; // answers a device remembers, by session id

// Links
export const LINK_NAMES = 64; // names whose owners a device asks for at once
