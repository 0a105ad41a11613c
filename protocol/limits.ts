// Noise
export const NOISE_MESSAGE_BYTES = 65_535; // Noise rev 34 section 3
export const STATIC_SECRETS_KEPT = 256; // DHs of two static keys, those made last; 128 links come up at a time
export const PUBLIC_KEYS_KEPT = 256; // in OpenSSL's form, those used first of late; 1 KB each outside of the heap
export const KEM_PUBLIC_KEY_BYTES = 1184; // ML-KEM-768, FIPS 203 table 3
export const KEM_CIPHERTEXT_BYTES = 1088; // ML-KEM-768, FIPS 203 table 3

// Statements and key list
export const STATEMENT_BYTES = 8 * 1024; // text of one statement; a policy of a few hundred lines fits
export const LAST_TIME_MS = 8.64e15; // the last that ECMAScript has a date for, in the year 275760
export const POLICY_BYTES = 7 * 1024; // a policy as JSON prints it, quotes included; leaves room for the other fields of its statement
export const POLICY_DEPTH = 8; // lists and maps within each other in a policy; its language needs four
export const POLICY_ZONES = 16; // time zones of one policy; each holds some 20 KB in the engine of whoever judges by it
export const ACCESS_LOOK_MS = 60_000; // between two looks at a grant that ends, whose end a change of the wall clock may move
export const POLICIES_KEPT = 256; // policies that a directory keeps parsed; some 20 KB each, parsing one takes milliseconds
export const SIGNATURE_BYTES = 1024; // an SSHSIG blob; Ed25519 needs 166, FIDO keys below 400
export const STATEMENTS_READ = 200_000; // on one name, read at once: 100,000 members that were revoked once each
export const DEVICES_AT_ONCE = 128; // in one frame of an answer, 100 B each; at most 255
export const LS_WATCH_MS = 2_000; // between two lists of devices that somebody watches; DEVICE_LISTS_PER_SECOND serves four of them for each client name
export const SUGGESTION_MS = 3_000; // for the list of devices that tells which one was meant, when a session has failed already
export const STATUS_CLIENTS = 32; // that one keys folder is told of; a person has a handful
export const CONTACT_MS = 20_000; // for all that is asked of a directory to see how it is
export const LOOK_MS = 5_000; // for one look at the network: a name, a connection, a certificate, a banner
export const DEVICES_LISTED = 100_000; // of one name, that a client takes: more than one directory serves
export const OWNER_CHAIN = 8; // statements of one name that travel together; who has missed more rotations compares fingerprints
export const FORMER_OWNERS = 64; // owner keys of one name that a pin knows to have handed it on, 50 B each; an owner has a handful in a lifetime
export const REVOCATION_REASON_BYTES = 256; // a line for people
export const DELEGATION_USES = 1_000_000; // members that one fleet token may make
export const LOG_PROOF_BYTES = 24 * 1024; // all proofs of one message; with 2^32 leaves and 2^32 subjects seven of them take 9 KB
export const KEY_LIST_BYTES = 4 * 1024; // text of a directory key list
export const MAX_RENDEZVOUS_ADDRESSES = 4; // of one rendezvous: TCP and WebSocket, IPv4 and IPv6

// Log
export const NOTE_BYTES = 4 * 1024; // a checkpoint with its signatures; NOTE_SIGNATURES cosignatures under names of 100 B fit
export const NOTE_SIGNATURES = 16; // signature lines of a note; C2SP signed-note demands that so many are taken
export const TREE_PROOF_HASHES = 63; // of one proof of the tree; 2^53 leaves need 53, a proof of consistency one more
export const MAP_DEPTH = 256; // bits of a key
export const LOG_PROOF_SUBJECTS = 16; // of one proof bundle; a connect needs 6
export const CHECKPOINT_AGE_MS = 24 * 60 * 60_000; // since enough witnesses cosigned it, for an end that demands witnesses; a witness that is away for a night stops nobody
export const PENDING_CHECKPOINT_MS = 24 * 60 * 60_000; // for a peer's checkpoint to be proved; an honest directory is down for less
export const LOG_FILE_BYTES = 16 * 1024; // a tile of 256 leaves is 11 KB
export const LOG_FILE_TRIES = 60; // a second apart, for a file that the directory's rate refuses
export const LOG_TILE_MS = 10_000; // for the tiles that one proof of consistency takes
export const ADD_CHECKPOINT_BYTES = 8 * 1024; // what a witness is asked: a note, TREE_PROOF_HASHES lines of 45 B and a size

// Sealed messages and their answers
export const SEALED_MESSAGE_BYTES = 60 * 1024; // below the smallest common limit of a transport (64 KiB frames)
export const FRESHNESS_MS = 60_000; // how far a sender's clock may be off before it is answered with a nonce
export const MESSAGE_ID_MS = 120_000; // ids stay unique for twice the freshness, so that no replay fits in between
export const NONCE_MS = 60_000; // life of a nonce that the directory handed out
export const RESPONSE_FRAME_BYTES = 64 * 1024; // one frame of an answer
export const KEEPALIVE_MS = 15_000; // between frames of an answer; below the idle limit of common proxies (30 s)

// Tickets and legs
export const TICKET_MS = 2 * 60_000; // life of a ticket: both dials and the wait for each other; what is remembered by it lives no longer
export const MAX_TICKET_MS = 24 * 60 * 60_000; // no ticket may claim a longer life
export const TICKET_ENTRIES = 3; // rendezvous offered in one ticket
export const TICKET_ENTRIES_BYTES = 800; // all entries together, so that a hello stays within its limit
export const TICKET_ENTRY_BYTES = 399; // one of them, so that a second one has room whatever addresses the first one has
export const HELLO_BYTES = 1024; // a whole leg hello, ticket included
export const HELLO_MS = 5_000; // two round trips on a bad mobile link
export const UNPAIRED_LEG_MS = 15_000; // a leg waits this long for the other one
export const ELSEWHERE_MS = 1_000; // that an end waits at the first rendezvous it has reached, before it goes to the others of the ticket as well
export const OTHER_TRANSPORT_MS = 5_000; // that it waits there over TCP, before it comes over WebSocket with TLS, where it can: some firewalls swallow all else
export const EARLY_DATA_BYTES = 64 * 1024; // held for an unpaired leg
export const FIRST_FLIGHT_BYTES = 60 * 1024; // records kept by a client until the device's CONFIRM; below EARLY_DATA_BYTES

// Rendezvous
export const RENDEZVOUS_CONNECTIONS = 16_000; // sockets of one process; leaves room below the common 20,000 open files
export const ARRIVING_LEGS = 384; // whose hello is not there yet, of anybody; then the one that has had longest makes room
export const ARRIVING_LEAST_MS = 1_500; // that each of them is given for its hello first: two round trips, and a WebSocket's upgrade
export const ARRIVING_LEGS_AT_MOST = 2_048; // of them, those that have just arrived included; then that first moment counts no more
export const UNPAIRED_LEGS = 1_024; // with a ticket, that wait for the other leg, of anybody; then the one that waits longest makes room
export const REFUSED_LEGS = 512; // that are still to read why; then the one refused first is cut
export const UNPAIRED_LEGS_PER_ADDRESS = 32; // of all these, of one IPv4 address or IPv6 /56; a busy office pairs each within a second
export const LEGS_PER_ADDRESS = 2_000; // joined ones included, of one address that is not this machine: an eighth of all sockets, or of those that there may be; a carrier's NAT
export const ARRIVALS_PER_SECOND = 100; // connections of one address that is not this machine, each of which may cost two signatures: 3 % of a core
export const ARRIVALS_BURST = 2_000; // of them at once: a tool that goes to all devices of a fleet, and measures
export const ARRIVAL_ORIGINS = 50_000; // addresses remembered; beyond that new ones share one rate
export const EARLY_DATA_TOTAL_BYTES = 1024 * 1024; // held for all legs that wait; then the one of which most is held makes room
export const RENDEZVOUS_SESSIONS = 65_536; // whose tries are remembered until their tickets expire, about 300 B each
export const WITNESS_LOGS = 16; // that one witness follows, one of each directory, and keeps the newest checkpoint of
export const WITNESS_EVIDENCE = 16; // pairs of notes kept of logs that lie; one would do to convict a log
export const WITNESS_WAITING = 32; // requests that wait for a witness's disk; more than its logs ask in a second
export const WITNESS_REQUESTS_PER_SECOND = 10; // of one IPv4 address or IPv6 /56; a log asks once for each checkpoint, twice when it was away
export const WITNESS_REQUESTS_LOOPBACK_PER_SECOND = 200; // from this machine, where a reverse proxy may be
export const WITNESS_ADDRESSES = 1_024; // counted each by itself within a second; all others count as one
export const WITNESS_REQUEST_MS = 5_000; // for a request to a witness to come
export const WITNESS_CONNECTIONS = 256; // of a witness that is no rendezvous
export const WITNESS_LIST_MS = 60 * 60_000; // between two looks of a witness at the key lists of its directories
export const WITNESS_LIST_RETRY_MS = 10_000; // the same while one does not answer
export const REFUSED_LEG_MS = 2_000; // for a refusal to reach the end before the socket is destroyed
export const SPLICE_BYTES = 512 * 1024; // held between two legs, both ways together
export const STALLED_BYTES = 4 * 1024 * 1024; // held by all splices whose reader has stopped; then the one stopped longest is cut
export const STALLED_MS = 10_000; // without taking anything, until a reader counts as stopped and not as slow: 13 KB/s of what is held
export const WEBSOCKET_MESSAGE_BYTES = 64 * 1024; // of a leg over WebSocket; below what proxies commonly buffer
export const LEG_PONGS = 16; // answers to pings that wait for their reader, on a leg or link over WebSocket
export const BACKLOG = 4_096; // connections that the kernel completes while a service is busy: all ends of a herd that comes back at once
export const REPORT_MS = 15_000; // between two reports of a rendezvous; after 45 s of silence no new ticket names it
export const REPORT_RETRY_MS = 2_000; // after a report that failed: rendezvous are few, and without them nobody connects
export const FIRST_REPORT_MS = 3_000; // that a start waits for the directory, so that its first ticket has the new boot
export const REPORT_TIMEOUT_MS = 10_000; // for the answer to one report
export const KEY_LIST_GAP_MS = 2_000; // between two questions for a key list that unknown tickets cause; below HELLO_MS
export const KEY_LIST_MARGIN_MS = 60 * 60_000; // before its key list expires a rendezvous asks for the next one
export const DRAIN_SECONDS = 60; // that sessions of a rendezvous may go on after SIGTERM; below the 90 s after which systemd kills
export const DRAIN_LEAST_MS = 8_000; // that it waits for legs whose tickets are out: 1 s until all directories know, 2 s for ticket and dial, HELLO_MS; below the 10 s of Docker
export const DRAIN_SECONDS_MOST = 86_400; // the same, at most
export const RENDEZVOUS_DISTANCES = 16; // rendezvous that an end tells its distance from; it goes to one
export const DISTANCE_STEP_MS = 20; // that a told round trip is rounded to: some 2,000 km, so that it tells no more of where an end is
export const DISTANCE_MS = 24 * 60 * 60_000; // that a measured round trip counts; machines move
export const DISTANCE_DUE_MS = 10 * 60_000; // until a rendezvous that is met again is measured again
export const SILENT_MS = 5 * 60_000; // that an end passes by a rendezvous which did not answer it
export const MEASURE_MS = 3_000; // for a rendezvous to answer whoever measures it
export const UNMEASURED_MS = 150; // that a rendezvous is taken to be away from an end which has measured others: another continent
export const EXCERPT_BYTES = 256; // of each direction, shown by a rendezvous that is told to
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
export const SMALL_CHUNK_BYTES = 2 * 1024; // what waits or is sealed in smaller pieces is joined, so that it costs bytes, not objects and writes
export const SOCKET_QUEUE_BYTES = 512 * 1024; // waiting for a socket; data stops far below, only answers a peer provokes reach it

// Heartbeat of a path
export const PING_MS = 15_000; // between PINGs; keeps NAT entries (30 s and more) alive
export const PATH_DEAD_MS = 30_000; // without an answer and without any progress
export const PING_GAP_MS = 200; // least time between two PINGs of one sender
export const AGENT_PASSES = 100; // looks of a session agent that leaves a path that others share, each after another came or left; more than do so meanwhile
export const AGENT_ANSWER_MS = 1_000; // for a socket of this machine to take a connection; the kernel answers, not the process
export const AGENT_VISIT_MS = 5_000; // for a login by the key of another session, over a slow line; so long a session that ends stays at most
export const MASTER_STOP_MS = 5_000; // for a master of shared connections to be told that it takes no more; it answers at once unless it hangs
export const SSH_GONE_MS = 10_000; // for what the device has still to say after ssh has closed its end: ssh reads none of it
export const PING_EVERY_MS = 500; // between round trips that somebody counts; twice PING_GAP_MS and more
export const PING_COUNT = 1_000; // round trips that somebody counts at once: eight minutes
export const PINGS_PER_SECOND = 10; // answered; twice what PING_GAP_MS lets through, for uneven networks
export const LINGER_MS = 2_000; // for a CLOSE to reach the peer before the socket is destroyed

// Handshake payloads
export const HOST_KEYS = 8; // SSH host keys of one device; OpenSSH makes three
export const SSH_CERTIFICATE_MS = 5 * 60_000; // that a session's key may be used to log in; logged in, it is not looked at again
export const SSH_CERTIFICATE_SKEW_MS = 60_000; // ahead of now: the device's wall clock may be set back between signing and sshd's look
export const SSH_CERTIFICATE_BYTES = 2 * 1024; // one certificate for a session's key; ours have some 600 B
export const SSH_KEY_BYTES = 4 * 1024; // one SSH public key blob; RSA of 16,384 bits fits
export const REASON_BYTES = 512; // text of a refusal
export const SESSION_CACHE = 4096; // answers a device remembers, by session id
export const SESSION_CACHE_SHARE = 1024; // of these, for one client name

// Links
export const LINK_NAMES_AT_ONCE = 8; // of them, in one message, so that it fits
export const LINK_NAMES = 64; // names whose owners a device asks for at once

// Device
export const SESSIONS_AT_ONCE = 64; // of one daemon; each may hold up to SESSION_WINDOW_BYTES
export const UNCONFIRMED_SESSIONS = 32; // of them, those whose client has not proved itself yet; then the client with most of these makes room
export const UNCONFIRMED_MS = 20_000; // for that proof: a dial, an unpaired leg's life, and the first record
export const REQUESTS_AT_ONCE = 64; // being answered; more than a directory in its right mind passes on
export const UNLISTED_REQUESTS_PER_SECOND = 10; // of clients that are not let in, all together, that are told so; each costs a handshake
export const SERVER_CONNECT_MS = 10_000; // for the server behind a stream to take the connection, the look-up of its name included: three lost SYNs
export const SERVER_FAMILY_MS = 2_500; // for one of its addresses, before the next is tried; a slow line of the device's own network, and one lost SYN
export const SERVER_FLUSH_MS = 30_000; // for it to go on taking what is left of a stream that has ended both ways
export const SERVER_PROBE_MS = 60_000; // from the last byte to the first keep-alive probe of TCP: a server that is gone is noticed, a NAT on the way forgets nothing
export const SERVER_LOOKUPS = 2; // names of servers looked up at once; half of the threads that Node has for all that waits
export const CLOCK_OFF_MS = 10 * 60_000; // a clock that differs more from the directory's is not used
export const RECONNECT_FIRST_MS = 250; // the first try to come back to the directory is within this time
export const RECONNECT_MS = 30_000; // and later ones, each at a random moment of a span that doubles up to this
export const RECONNECT_ABSENT_MS = 2_000; // or to this, while nobody is there to be burdened; with a session after it below 5 s
export const RECONNECT_PROXY_ALONE = 8; // times that a proxy is believed that nobody is behind it, some 6 s: a restart; one of an overloaded directory says so too
export const TOLD_TO_RETURN_MS = 60_000; // longest that a device stays away because a directory tells it to
export const LINK_LASTED_MS = 5_000; // a link that lasted so long is no failure of the one before
export const SSH_LOGIN_GRACE_MS = 125_000; // that sshd gives a login where its LoginGraceTime cannot be read: 120 s by default, and 4 s that it adds at random
export const SSH_LOGIN_TURNS = 9; // answers of sshd after which it has logged in: seven with one key, one for each further key, two for a command
export const SSH_NEW_CONNECTIONS = 32; // of one client to sshd, not older than its LoginGraceTime, whatever they look like: more than anybody opens at once by hand or by program; beyond MaxStartups 10:30:100 sshd then drops every other one of those that come
export const SSH_CHILDREN = 128; // sshd or dropbear processes at once, 3 to 10 MB each: two for each of SESSIONS_AT_ONCE
export const SSH_CHILD_END_MS = 2_000; // for such a process to end by itself when its client is gone
export const SSH_CHILD_LINES = 200; // of its stderr that go into the log; a login and its end are five
export const SSH_SERVER_POLL_MS = 30_000; // between two looks for an SSH server that was missing at the start
export const NETWORK_POLL_MS = 2_000; // between two looks at this machine's own addresses, about 0.1 ms each
export const SLEPT_MS = 5_000; // a look that comes so much late means that the machine was asleep

// Built-in SSH server
export const BUILTIN_LOGIN_MS = 120_000; // from the first byte to a login: a person may have to find the passphrase of a key
export const BUILTIN_TRIES = 40; // questions about keys and logins by them of one connection, none included; an agent may hold a dozen keys
export const BUILTIN_SESSIONS = 32; // commands, shells and sftp at once over one connection (ControlMaster); sshd has 10
export const BUILTIN_FORWARDS = 256; // connections of ssh -L and -D at once over one connection; a browser opens some dozens
export const BUILTIN_LISTENERS = 16; // ports of ssh -R of one connection
export const BUILTIN_LISTENER_CONNECTIONS = 128; // at once at one of these ports
export const BUILTIN_VARIABLES = 64; // of the environment that one session may set
export const BUILTIN_ARRIVING = 128; // connections that have not logged in, of anybody: two for each of SESSIONS_AT_ONCE; then the client with most of these loses its oldest
export const BUILTIN_ARRIVING_PER_CLIENT = 64; // of them, those of one client name; a tool that does one thing 50 times at once is not kept out
export const BUILTIN_ARRIVING_REPLY_BYTES = 64 * 1024; // that a client has not read yet that has not logged in; a whole login takes some 8 KB
export const BUILTIN_REPLY_BYTES = 1024 * 1024; // that a client has not read yet that has; four times BUILTIN_UNSENT_BYTES
export const BUILTIN_WRITE_BYTES = 256; // that each write which waits counts besides its own bytes: what it takes in the engine
export const BUILTIN_WINDOW_LEAST_BYTES = 32 * 1024; // that a client may send on a channel ahead of its reader: one packet
export const BUILTIN_WINDOW_BYTES = 2 * 1024 * 1024; // where the reader keeps up: 20 MB/s at 100 ms round trip, as with sshd
export const BUILTIN_WINDOWS_BYTES = 32 * 1024 * 1024; // of all channels of one client name: 1,024 of the least; a quarter is never grown into
export const BUILTIN_UNSENT_BYTES = 256 * 1024; // encrypted and not yet taken by the stream, of all channels together; a packet has at most 32 KiB
export const BUILTIN_LEAST_PACKET_BYTES = 4 * 1024; // that a client takes at least: RFC 4253 section 6.1 demands 32,768; whoever takes a page is served
export const BUILTIN_QUIET_MS = 150; // without output, of a terminal that something in the background keeps open when its shell has ended
export const BUILTIN_FAREWELL_MS = 2_000; // for a client to read why its connection ends, and to end it as well
export const BUILTIN_LEFT_MS = 5_000; // for what has got SIGHUP to end; nohup(1) makes programs go on
export const ACCOUNT_LOOK_UP_MS = 5_000; // for the accounts of this machine to be asked; an LDAP server that does not answer must not hold a login up for long
export const AUTHORIZED_KEYS_READ_BYTES = 1024 * 1024; // of an authorized_keys, some thousand keys; each login reads them all
export const AUTHORIZED_KEYS_LINE_CHARACTERS = 16 * 1024; // of one line of it: as much as sshd reads (SSH_MAX_PUBKEY_BYTES)
export const TERMINAL_READ_BYTES = 16 * 1024; // read from a terminal at once; it gives out 4 KiB
export const TERMINAL_INPUT_BYTES = 64 * 1024; // typed for a program that does not read; somebody pastes a file
export const TERMINAL_RETRY_MS = 20; // between two tries at a terminal that takes no more input: what reads from it is busy
export const TERMINAL_LOOK_MS = 50; // between two looks for the terminal that script(1) makes
export const TERMINAL_LOOKS = 100; // of them for one change of the window; a start takes some milliseconds
export const MKFIFO_MS = 5_000; // for mkfifo(1) to make the three pipes of a program
export const CERTIFIED_KEYS = 640; // session keys that the built-in server remembers: two for each of SESSIONS_AT_ONCE and minute of a certificate's life
export const TERMINAL_SIGNALS = 16; // that wait for the process behind a terminal to be found
export const TERMINAL_ORDER_BYTES = 4096; // sizes and signals that wait for the holder of a terminal, of some 20 bytes each
export const TERMINAL_START_MS = 10_000; // for the holder of a terminal to have made it; 0.4 s on a busy machine
export const STTY_MS = 5_000; // for stty(1) to set the size of a terminal
export const TERMINAL_HEAP_MIB = 32; // heap of the process that holds a terminal where there is no script(1); it needs some 5
export const SFTP_HEAP_MIB = 64; // heap of the process that serves a session of sftp; it needs some 10
export const SFTP_PACKET_BYTES = 256 * 1024; // of one packet of sftp, as OpenSSH has it
export const SFTP_HANDLES = 256; // files and folders open at once in one session; clients open one or two
export const SFTP_NAMES = 100; // in one answer about a folder; with names of 255 bytes they fit into a packet
export const SFTP_EXTENDED = 16; // extended attributes in one request; nobody has defined one that matters here

// Members
export const ACTIVATION_MS = 2 * 60_000; // for each answer of the directory's: a bad line, and a nonce's life
export const CLIENT_BINDING_MS = 365 * 24 * 60 * 60_000; // a client's binding lasts a year; a device's does not expire
export const UNKNOWN_CLIENT_MS = 5_000; // a daemon waits so long for the owner of a listed name before it says that the directory knows none
export const OWN_END_NEAR_MS = 30 * 24 * 60 * 60_000; // a client says so ahead of that end; renew takes what ends within it

// Enrolment
export const PASSWORD_TEXT_BYTES = 512; // text of a one-time password: 400 B with the longest name and pattern
export const PASSWORD_MS = 30 * 24 * 60 * 60_000; // longest life of a one-time password; an hour unless asked
export const PASSWORDS_PER_NAME = 512; // one-time passwords of a name that are kept, those used included
export const ENROLMENT_MS = 48 * 60 * 60_000; // an enrolment waits for its owner over a weekend day, no longer
export const ENROLMENTS_PER_NAME = 256; // that wait at once; a larger fleet is for a token
export const ENROLMENTS_AT_ONCE = 16; // pending enrolments in one frame, below 1 KB each
export const ENROLMENT_SWEEP_MS = 10 * 60_000; // how often those whose time is over are taken out of the store; until then they are not seen
export const ENROLMENT_WATCH_MS = 2_000; // between two looks of approve --watch at what is pending

// An owner key in an SSH agent
export const AGENT_KEYS_MS = 10_000; // for the agent to list its keys; one that is started by the first question takes seconds
export const AGENT_SIGN_MS = 60_000; // for it to sign: somebody has to find the token, or to type its PIN
export const AGENT_NOTICE_MS = 2_000; // without its signature until a person is told that it may be asking something

// Directory: its users' side
export const DIRECTORY_CONNECT_MS = 10_000; // TCP, TLS and the WebSocket upgrade on a bad mobile link
export const REDIAL_MS = 2_000; // between two attempts to connect a link while nothing answers; a SYN or two each, 100 B
export const DIRECTORY_SILENCE_MS = 2.5 * KEEPALIVE_MS; // an answer without any byte for so long is dead
export const LINK_EVENTS = 256; // notifications that wait for a busy device; more are a directory gone mad

// HTTP proxies, of both ends
export const PROXY_HEAD_BYTES = 8 * 1024; // head of an answer to CONNECT; with the challenges of a domain some 2 KB
export const PROXY_PASSWORD_BYTES = 1024; // of a password file; a line

// Directory: HTTP
export const HEADERS_MS = 10_000; // a client's whole request head
export const REQUEST_MS = 15_000; // head and body of a request
export const CONNECTIONS_CHECK_MS = 1_000; // how often slow senders are looked for
export const HEADER_BYTES = 8 * 1024; // a request head; ours is below 300 B, proxies add some
export const UNREAD_ANSWER_MS = 30_000; // for a reader to take what was sent before more of a long answer is made: 64 KiB at 2 KB/s
export const UNREAD_ANSWERS = 128; // that wait for their readers, of anybody: some 100 KiB each, 13 MB in all
export const READING_MS = 10 * 60_000; // for all statements on a name; one key has one such answer at a time. STATEMENTS_READ of them at 200 KB/s
export const UNSENT_ANSWER_BYTES = 256 * 1024; // of one answer, held for a reader that has stopped
export const RATE_PER_SECOND = 20; // requests and links from one address (IPv6: one /56)
export const RATE_BURST = 100; // of them at once: a site behind one NAT after a power cut
export const RATE_LOOPBACK_PER_SECOND = 2_000; // from this machine: everybody, when a reverse proxy stands in front
export const RATE_LOOPBACK_BURST = 20_000; // a herd that comes back through a reverse proxy
export const RATE_ADDRESSES = 50_000; // addresses remembered; beyond that new ones share one bucket
export const FULL_SWEEP_MS = 1_000; // between looks for those of them, or of a rendezvous's, that may be forgotten, while there is no room: 5 ms each
export const WRONG_SECRETS_PER_SECOND = 0.1; // wrong activation secrets from one address
export const WRONG_SECRETS_BURST = 10; // of them at once: typing errors, not guessing
export const WRONG_SECRETS_LOOPBACK_PER_SECOND = 1; // the same from this machine: everybody, when a reverse proxy stands in front
export const WRONG_SECRETS_LOOPBACK_BURST = 100; // of them at once
export const CONNECTIONS_PER_ADDRESS = 512; // open connections from one address that is not this machine; a carrier's NAT
export const STRANGERS = 640; // connections that have proved nothing and have had their time, of anybody; then the one that came first makes room
export const STRANGERS_PER_ADDRESS = 128; // of these, from one address that is not this machine; a site that comes back after a power cut
export const STRANGER_LOOKS = 8; // that each of them is given to speak: 2 s, or more where the directory is slow; TLS and a hello take two round trips
export const STRANGER_LOOK_MS = 250; // from one of these looks to the next; between them all that has come is read
export const BODIES_BYTES = 1024 * 1024; // held of all bodies that are not whole yet; then the one begun first is given up
export const BODY_PIECES = 256; // of one body, as the network or HTTP's chunks cut it; 60 KiB in packets are 44
export const SPARE_FILES = 256; // of the open files that a process may have, kept for all but connections

// MQTT broker
export const BROKER_TRY_MS = 4_000; // TCP, TLS, the broker's two answers and the directory's welcome, until the WebSocket is begun; with it below 5 s
export const BROKER_KEEPALIVE_S = 20; // between a device's pings of its broker, 0.7 MB a day; a broker tells of its silence after 30 s
export const BROKER_PUBLISH_MS = 4_000; // until a broker confirms a message, as long as it has for a connection; what waits for it fails then
export const BROKER_CLOSE_MS = 1_000; // for a broker to take a goodbye and close
export const BROKER_UNTOLD_MS = 500; // until a device that could not be told something is asked to say hello; doubles up to BROKER_RETRY_MS while that fails
export const BROKER_HELLO_MS = 60 * 60_000; // between two hellos of an idle device: by their welcome it knows that the whole way works; 50 KB a day
export const BROKER_GAP_MS = 2_000; // that later messages wait for one that is missing
export const BROKER_AHEAD = 32; // of them; a broker that keeps the order shows none
export const BROKER_HELLO_AGAIN_MS = 1_000; // between two hellos of one connection, whoever asks for them
export const BROKER_HELLOS_AGAIN = 5; // in BROKER_GAPS_MS, because messages were missing; then the broker is left for the WebSocket
export const BROKER_GAPS_MS = 60_000; // in which BROKER_HELLOS_AGAIN are counted
export const BROKER_LASTED_MS = 60_000; // a connection to a broker that lasted so long is no failure of the one before
export const LEFT_LINK_MS = 2_000; // that a link is read on after another one has taken its place
export const BROKER_PACKET_BYTES = 128 * 1024; // of MQTT; AWS IoT Core has this limit for messages, a sealed message takes half
export const BROKER_ASKED = 128; // requests whose asker a device remembers; two for each of SESSIONS_AT_ONCE
export const BROKER_ANSWER_MS = 10_000; // a device that has not answered by a broker by then counts as offline
export const BROKER_DENIALS_PER_SECOND = 200; // questions of one broker that are answered with no, each a DH at most: 10 % of a processor
export const BROKER_DENIALS_BURST = 2_000; // of them at once
export const BROKER_QUESTION_BYTES = 4 * 1024; // of what a broker asks about who may come in; a token has 300 B
export const BROKER_WAITING = 16_384; // messages of devices that wait to be read, 1 KB each: those of a herd; then they are dropped, and come by WebSocket
export const WATCHERS_AT_ONCE = 128; // devices at a broker that are read together when something changes that they watch
export const BROKER_READ_AT_ONCE = 64; // of them, a millisecond each; requests are answered in between
export const BROKER_DEVICE_HELLOS_PER_SECOND = 2; // of one device, some writes each; by itself it says one in BROKER_HELLO_AGAIN_MS
export const BROKER_DEVICE_HELLOS_BURST = 20; // of them at once: ten connections one after the other, with two each where its clock is wrong
export const BROKER_REFUSALS_PER_SECOND = 1; // hellos of one device that are answered with no; whoever has kept one may bring it as often as he likes
export const BROKER_REFUSALS_BURST = 4; // of them at once: a device whose clock is wrong needs one
export const BROKER_FAILURES_MS = 5_000; // between two lines of a directory's log about devices that cannot be told for one reason; there may be as many as devices
export const BROKER_RETRY_MS = 15_000; // of a directory to come back to its broker, at a random moment of a span that doubles up to this

// Directory: requests
export const MESSAGES_AT_ONCE = 512; // posted by anybody and being worked at, 2 ms each: a second; more are told to come back, unread
export const BUSY_MS = 2_000; // in which they are to come back; each end adds a random time of its own
export const NONCE_PERIOD_MS = 15_000; // of NONCE_MS; for so long one nonce is handed out to everybody
export const MESSAGE_IDS = 500_000; // remembered at once, 4,000 messages a second; then new ones are refused, none forgotten
export const DEVICE_MOVES_MS = 3_000; // for a device that has no link any more where it was asked to have one at another directory
export const DEVICE_ANSWER_MS = 30_000; // a device that has not answered by then counts as offline
export const SESSION_MEMORY_MS = 120_000; // a session's ticket and answer are repeated for so long after the hand-over
export const SESSIONS = 10_000; // remembered at once, those waiting included
export const LOOKS_AT_ONCE = 64; // for devices that are waited for, when there is a way to them again, 30 us each; others are answered in between
export const SESSIONS_PER_CLIENT = 2_000; // of these, of one client name, however many members it has; twice a fleet of 1,000
export const SESSIONS_PER_CLIENT_AND_DEVICE = 64; // of these, with one device, which has no more than SESSIONS_AT_ONCE anyway
export const CLIENT_REQUESTS_PER_SECOND = 20; // session requests of one client name, for each of which a rendezvous remembers a ticket for TICKET_MS
export const CLIENT_REQUESTS_BURST = 1_000; // of them at once: a tool that goes to all devices of a fleet
export const SENDER_MESSAGES_PER_SECOND = 60; // of one name, or one rendezvous, whatever they ask, before anything is written or looked up for them: above all that is limited by itself
export const SENDER_MESSAGES_BURST = 2_500; // of them at once: CLIENT_REQUESTS_BURST requests, all withdrawn, and lists
export const DEVICE_LISTS_PER_SECOND = 2; // lists of devices for one client name, 10 ms of the directory for a thousand devices
export const DEVICE_LISTS_BURST = 60; // of them at once: the members of a name in the morning, each with its script
export const DEVICE_LIST_MS = 60_000; // for all devices of a name; one key has one such answer at a time. DEVICES_LISTED at 200 KB/s
export const NAME_STATEMENTS_PER_SECOND = 5; // new statements of one name, those of its delegations counted apart; each stays in the log for ever, 2 KB
export const NAME_STATEMENTS_BURST = 20_000; // of them at once: a fleet of 10,000 whose owner key is rotated, or that enrols in an hour
export const TOLD_AGAIN = 10; // times that devices are told of statements of a name that are there already; whose answer was lost sends them again
export const TOLD_AGAIN_MS = 60_000; // from one of these to the next after that: any member could repeat a policy to a fleet of 10,000
export const RENDEZVOUS_MOVES = 10; // statements with other addresses of one rendezvous at once; somebody sets it up
export const RENDEZVOUS_MOVE_MS = 60_000; // from one of them to the next after that
export const RENDEZVOUS_REPORTS = 20; // reports of one rendezvous at once: its addresses or its load may change while it starts
export const RENDEZVOUS_REPORT_GAP_MS = 1_000; // from one of them to the next after that; a write to the store for each
export const MESSAGE1_BYTES = 8 * 1024; // of a request passed on: 1,300 B and one SSH key
export const MESSAGE2_BYTES = 40 * 1024; // of an answer passed on: 1,200 B and HOST_KEYS keys of SSH_KEY_BYTES
export const WAIT_MS = 24 * 60 * 60_000; // longest that a request is kept for a device
export const WAIT_UNHEARD_MS = 60_000; // a kept request outlives its lost answer stream by so long
export const KEYS_LOOK_MS = 2_000; // for a look whether another directory has rotated the keys; then the list goes out that is known
export const KEY_LIST_MS = 14 * 24 * 60 * 60_000; // life of a key list: as long as its sealing key is answered to
export const RENDEZVOUS_SILENCE_MS = 45_000; // three reports missing: no new ticket names it

// Directory: witnesses
export const WITNESSES = 12; // that a directory asks; with the log's own below NOTE_SIGNATURES, and their lines within NOTE_BYTES
export const WITNESS_URL_BYTES = 512; // of the URL of one
export const WITNESS_ANSWER_MS = 5_000; // for the whole answer of a witness
export const WITNESS_PATIENCE_MS = 2_000; // that proofs wait for the cosignatures of a new checkpoint, of witnesses that answered so soon last time
export const WITNESS_AGAIN_MS = 10 * 60_000; // until a checkpoint that stays the newest is cosigned anew: far below the age at which ends refuse it
export const WITNESS_GAP_MS = 150; // from a witness's answer to the next question: below WITNESS_REQUESTS_PER_SECOND
export const WITNESS_BUSY_MS = 1_000; // until a witness that says that it is busy is asked again: it counts by the second
export const WITNESS_RETRY_MS = 2_000; // until a witness that did not answer is asked again, twice as long each time
export const WITNESS_RETRY_MOST_MS = 60_000; // at most

// Directory: links
export const LINK_HELLO_MS = 5_000; // for the hello of a new link to come
export const LINK_HELLO_BYTES = 4 * 1024; // sealed, of a hello that may have to wait for its turn; with LINK_NAMES of the longest names 2,400 B
export const HELLOS_AT_ONCE = 128; // being judged, a millisecond each; all others wait, and requests are answered in between
export const HELLO_TURN_MS = DIRECTORY_CONNECT_MS + LINK_HELLO_MS; // that a hello waits for its turn: its device waits no longer for an answer
export const HELLOS_BESIDE_MESSAGES = 16; // the same while messages of people are worked at, which go first
export const HELLO_BACKLOG_MS = HELLO_TURN_MS / 2; // that hellos may have to wait; whoever comes then is told when to come back instead, before anything of it is read
export const HELLO_MEASURE_MS = 500; // that others must have waited, at least, to tell how long a turn takes
export const RETURN_SLOT_MS = 2; // from one device's slot to the next after a planned restart: half of what a core judges, the rest is for requests
export const RETURN_SPREAD_MS = 60_000; // in which all of them are back, however many; then slots are closer
export const LINK_PING_MS = 20_000; // between the directory's pings on a link: 0.6 MB a day
export const LINK_SILENCE_MS = 28_000; // without a sign of life for so long, either side counts a link as dead; known within 30 s on a busy machine too
export const METERED_PING_MS = 57_000; // the same of a line that is paid by what it carries: 0.27 MB a day; some proxies cut what is silent for a minute
export const METERED_SILENCE_MS = 65_000; // for that one: known within 70 s
export const LINK_PROBE_MS = 4_000; // for a sign of life after the network has changed: a bad mobile link, and one packet lost
export const LINK_MESSAGE_BYTES = 64 * 1024; // one WebSocket message; ws would take 100 MiB
export const LINK_FRAGMENTS = 16; // of one WebSocket message; ws would take 16,384
export const LINK_BUFFERED_CHUNKS = 64; // unparsed reads of one WebSocket; ws would take 262,144
export const LINK_UNSENT_BYTES = 1024 * 1024; // held for a device that has stopped reading
export const LINK_MESSAGES_PER_SECOND = 50; // messages, pings and pongs from one device, answers that it was asked for not counted
export const LINK_MESSAGES_BURST = 200; // of them at once, before any is opened: answers after a herd of clients
export const TAKEOVERS_PER_MINUTE = 3; // of one member's link; more look like a copied key
export const LAST_SEEN_MS = 5 * 60_000; // how often the last-seen times of living links are stored

export const RECORDS_KEPT = 512; // of members, names, policies, delegations and the key list, parsed, of those that were read last; 6 KB each

// Directory: log
export const MAP_TOP_DEPTHS = 10; // of the map's nodes, which are kept when they were read; 1,023 at most, 500 B each
export const LOG_MAP_PROOFS_KEPT = 512; // of the newest map, of the subjects asked for last; 1 KB each
export const LOG_FOLLOWED = 4; // readings of a log that another directory appends to meanwhile, before it is read in a turn
export const LOG_TREE_PROOFS_KEPT = 512; // between the sizes asked for last: a fleet's checkpoints are few; 1 KB each
export const CHECKPOINT_CACHE_SECONDS = 2; // that a proxy may keep the newest checkpoint; C2SP tlog-tiles: a few seconds at most

// Directory: log to stderr
export const LOG_MOMENT_MS = 20; // lines that come within it after a write are written together, warnings at once; a process that is killed loses them
export const LOG_HELD_CHARACTERS = 64 * 1024; // of lines in one moment

// Directory: audit
export const AUDIT_LINE_BYTES = 64 * 1024; // one line; the longest speaks of all statements of one message
export const AUDIT_TAIL_BYTES = 4 * AUDIT_LINE_BYTES; // looked at from the end of the file, for its last whole line
export const AUDIT_MOMENT_MS = 20; // lines that come within it after a write are written together; a process that is killed loses them
export const AUDIT_WAITING = 10_000; // lines that are held while the disk takes none; 3 MB
export const AUDIT_BATCH = 256; // lines that are hashed and written together: 2 ms in which nothing else is done
export const AUDIT_ANCHOR_MS = 10 * 60_000; // from a line to the log's entry that holds it; two leaves each time, 10 MB a year
export const AUDIT_FIRST_ANCHOR_MS = 60_000; // the same after the start, when lines of before may be in no entry yet
export const AUDIT_ANCHOR_AGAIN_MS = 30_000; // from an entry that could not be made to the next try
export const AUDIT_AGAIN_MS = 1_000; // from a try that the disk took no lines to the next one: each costs 2 ms
export const AUDIT_FOLLOW_MS = 250; // between two looks of `audit export --follow` at a file that has ended
export const AUDIT_REPLACED_MS = 1_500; // until a file that was moved away is written to no more: its writer looks once a second
export const AUDIT_SEND_MS = 10_000; // for a receiver of syslog to take the connection, or more of what is sent
export const AUDIT_SYSLOG_VALUE = 1_024; // characters of one value in structured data; the message has the line whole
export const AUDIT_FILES = 4_096; // given to one `audit verify`; looked into one after the other
export const AUDIT_LATER = 100_000; // statements in lines that are newer than the log was at first; 10 MB

// Directory: administration
export const ADMIN_REQUEST_BYTES = 4 * 1024; // one request on the admin socket
export const ADMIN_ANSWER_BYTES = 64 * 1024 * 1024; // its answer: some hundred thousand names
export const ADMIN_MS = 5_000; // for a request and its answer on the admin socket
export const STORE_LOCK_MS = 3_000; // how long a command waits for another one to let go of the store
export const STORE_ROOM_BYTES = 16 * 1024 * 1024; // free on a disk that was full before the store is opened again: its log and a table
export const STORE_LINES_AT_ONCE = 1_000; // entries of a store that are exported or imported together
export const STORE_LINE_BYTES = 4 * 1024 * 1024; // one entry as a line: a name with OWNER_CHAIN statements, escaped
export const POSTGRES_CONNECT_MS = 5_000; // to connect to the database, which is near
export const POSTGRES_STATEMENT_MS = 10_000; // one statement: the longest is a commit that waits for a standby
export const POSTGRES_LOCK_MS = 8_000; // in the queue for a turn, before who asked is told to come back: longer than one that hangs
export const POSTGRES_TURN_MS = 4_000; // idle within a turn, so that a replica that hangs does not hold up the others: more than a proof waits for witnesses
export const POSTGRES_TURNS = 1_000; // that wait for a turn in one process, some 3 ms each; then who comes is told to come back
export const POSTGRES_WAITING = 50_000; // questions, or entries to be written, that wait in one process: the devices of a herd; 300 B each
export const POSTGRES_END_MS = 5_000; // for what is under way when a process is told to end, then for the connections to close
export const PART_END_MS = 15_000; // for one part of a directory to end, longer than a database that hangs takes to be given up
export const POSTGRES_READERS = 3; // connections for reading: while one waits for rows another is parsed
export const POSTGRES_KEYS_AT_ONCE = 1_000; // entries in one question: a session takes some twenty
export const POSTGRES_LISTEN_AGAIN_MS = 500; // before a directory listens again for the others on its database
export const POSTGRES_PART_BYTES = 7_800; // of a message between directories in one NOTIFY, which takes less than 8,000
export const DATABASE_CLOCK_LOOK_MS = 10_000; // between two looks at the clock of a database that directories share
export const DATABASE_CLOCK_MS = 5_000; // by which what two of them read there may differ: message ids are remembered longer by it
export const REPLICA_MESSAGE_BYTES = 96 * 1024; // one message between directories: an answer of MESSAGE2_BYTES in base64, and its names
export const REPLICA_MESSAGES_HALF = 64; // messages between directories of which a part is missing
export const REPLICA_LEASE_MS = 10_000; // how long after its last word a directory still counts as there
export const REPLICA_RENEW_MS = 2_000; // between its words: four may be lost
export const REPLICA_LOOK_MS = 250; // between two looks for a directory that nobody knows: its devices' entries may outlive it
export const REPLICA_BROKER_MS = 3_000; // for one that is at the broker to have it take what another one asks for; twice that is below BROKER_ANSWER_MS
export const REPLICA_TELL_MS = 30_000; // for one that is at the broker to have told all devices there what another one asks for; below ANSWER_MS
export const POSTGRES_LISTEN_PROBE_MS = 5_000; // between two questions on the connection that listens, so that one that is dead is known
export const REPLICA_DEVICES_AT_ONCE = 200; // devices that one message between directories says are back
export const OWN_RENDEZVOUS_RETRY_MS = 250; // before the directory starts its rendezvous again; doubles up to 8 s
export const OWN_RENDEZVOUS_START_MS = 5_000; // that the directory's address waits for its rendezvous, which nobody misses then
export const OWN_RENDEZVOUS_END_MS = 5_000; // for its rendezvous to end in order

// Client
export const CONFIGURATION_BYTES = 16 * 1024; // of a configuration file or a profile; settings are a few lines
export const ANSWER_MS = DEVICE_ANSWER_MS + 15_000; // for the directory's answer, and after a ticket for the device's
export const CONFIRM_MS = 20_000; // from msg2 to the device's CONFIRM: both legs, and UNPAIRED_LEG_MS with some room
export const REPOST_MS = 1_000; // before a lost wait for a device is taken up again
export const WITHDRAW_MS = 2_000; // for a last word to the directory after Ctrl-C
export const CONNECT_TOLD_TO_WAIT_MS = 30_000; // all waits together that a directory may ask for before a session, at which somebody sits
export const TOLD_TO_WAIT_MS = 120_000; // all waits together that a directory may ask for before one answer: several times UNREAD_ANSWER_MS
export const MONITOR_FAILED_LOOKS = 10; // of sshnp-keys monitor in a row: who keeps it from looking is to be noticed, a restart of the directory is not
export const FORWARD_CONNECTIONS = 512; // local connections of one forward at once, those that wait included; a browser has some 200
export const FORWARD_QUEUE = 256; // of them, those that wait for a session or for one of its STREAMS
export const FORWARD_WAIT_MS = 30_000; // for that; most programs wait no longer for an answer themselves
export const FORWARD_DRAIN_MS = 10_000; // after the command of --exec has ended, for what it has sent to arrive
export const FORWARD_BACK_FIRST_MS = 250; // the first try to make a lost session anew is within this time
export const FORWARD_BACK_MS = 30_000; // and later ones, each at a random moment of a span that doubles up to this
export const FORWARD_LASTED_MS = 5_000; // a session that lasted so long is no failure of the one before
export const FORWARD_KEPT_SECONDS = 600; // that a request for a lost session waits at the directory for the device, before the next one
export const SERVICE_DENIED_MS = 5_000; // for so long a denial of a whole session for one service is taken for the answer
export const SOCKS_HANDSHAKE_MS = 10_000; // for a local program to say what it wants
export const SERVICES_TOLD = 1_000; // services whose refusal is told once each; then all are told again
export const COMMAND_END_MS = 5_000; // for the command of --exec to end by SIGTERM, ahead of SIGKILL
export const CLOCK_TRUST_MS = 10 * 60_000; // a clock that is further off the directory's is not used
