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

// Rendezvous
export const RENDEZVOUS_CONNECTIONS = 16_000; // sockets of one process; leaves room below the common 20,000 open files
export const UNPAIRED_LEGS = 4_096; // that wait at once, for their hello or for the other leg; of 64 KiB early data each, 256 MiB
export const UNPAIRED_LEGS_PER_ADDRESS = 32; // the same of one IPv4 address or IPv6 /64; a busy office pairs each within a second
export const RENDEZVOUS_SESSIONS = 65_536; // whose tries are remembered until their tickets expire, about 300 B each
export const REFUSED_LEG_MS = 2_000; // for a refusal to reach the end before the socket is destroyed
export const SPLICE_BYTES = 512 * 1024; // held between two legs, both ways together
export const WEBSOCKET_MESSAGE_BYTES = 64 * 1024; // of a leg over WebSocket; below what proxies commonly buffer
export const REPORT_MS = 15_000; // between two reports of a rendezvous; after 45 s of silence no new ticket names it
export const DIAL_STAGGER_MS = 300; // from one address to the next while the first does not answer (RFC 8305 section 5: 100 ms to 2 s)
export const DIAL_MS = 10_000; // to connect to one address; two lost SYNs are sent again within 3 s each

// Records and streams
export const RECORD_BYTES = 65_600; // L of a record: a full DATA record (65,557) and a little room
export const DATA_BYTES = 64 * 1024; // of one DATA record: what Node reads from a socket at once
export const RECORDS_PER_KEY = 2 ** 32; // far below Noise's 2^64 and the bounds of ChaCha20-Poly1305 (RFC 8439 section 2.8)
export const SERVICE_BYTES = 512; // of an OPEN; the longest tcp:HOST:PORT is 263
export const STREAMS = 64; // of one session at once, those not yet answered or not yet finished included
export const STREAM_WINDOW_BYTES = 4 * 1024 * 1024; // 40 MB/s at 100 ms round trip
export const SESSION_WINDOW_BYTES = 16 * 1024 * 1024; // all windows together; what a stopped reader can make an end hold
export const EARLY_WINDOW_BYTES = 48 * 1024; // of a stream ahead of its OPENED; fits in FIRST_FLIGHT_BYTES
export const FIRST_FLIGHT_DATA_BYTES = 56 * 1024; // OPEN and DATA of it; the rest is kept for END, RESET and CLOSE
export const CREDIT_BYTES = 2 ** 31; // unspent on one stream; keeps every sum of windows a small integer
export const SMALL_CHUNK_BYTES = 2 * 1024; // received data below this is joined while it waits, so that memory is bytes, not objects
export const SOCKET_QUEUE_BYTES = 512 * 1024; // waiting for a socket; data stops far below, only answers a peer provokes reach it

// Heartbeat of a path
export const PING_MS = 15_000; // between PINGs; keeps NAT entries (30 s and more) alive
export const PATH_DEAD_MS = 30_000; // without an answer and without any progress
export const PING_GAP_MS = 200; // least time between two PINGs of one sender
export const PINGS_PER_SECOND = 10; // answered; twice what PING_GAP_MS lets through, for uneven networks
export const LINGER_MS = 2_000; // for a CLOSE to reach the peer before the socket is destroyed

// Handshake payloads
export const HOST_KEYS = 8; // SSH host keys of one device; OpenSSH makes three
export const SSH_KEY_BYTES = 4 * 1024; // one SSH public key blob; RSA of 16,384 bits fits
export const REASON_BYTES = 512; // text of a refusal
export const SESSION_CACHE = 4096; // answers a device remembers, by session id

// Links
export const LINK_NAMES = 64; // names whose owners a device asks for at once

// Members
export const CLIENT_BINDING_MS = 365 * 24 * 60 * 60_000; // a client's binding lasts a year; a device's does not expire
