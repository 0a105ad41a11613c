import { AGENT_PARSERS } from "./parsers/agents.ts";
import { BROKER_PARSERS } from "./parsers/broker.ts";
import { AUDIT_PARSERS } from "./parsers/audit.ts";
import { BUILTIN_PARSERS } from "./parsers/builtin.ts";
import { DIRECTORY_PARSERS } from "./parsers/directory.ts";
import { ENROLMENT_PARSERS } from "./parsers/enrolments.ts";
import { FILE_PARSERS } from "./parsers/files.ts";
import { FORWARD_PARSERS } from "./parsers/forwards.ts";
import { HANDSHAKE_PARSERS } from "./parsers/handshakes.ts";
import { KEY_PARSERS } from "./parsers/keys.ts";
import { LOG_PARSERS } from "./parsers/log.ts";
import { MESSAGE_PARSERS } from "./parsers/messages.ts";
import { OWNER_PARSERS } from "./parsers/owners.ts";
import { POLICY_PARSERS } from "./parsers/policy.ts";
import { PROXY_PARSERS } from "./parsers/proxies.ts";
import { RETURN_PARSERS } from "./parsers/returning.ts";
import { SSH_CONFIG_PARSERS } from "./parsers/ssh-config.ts";
import { REPLICA_PARSERS } from "./parsers/replicas.ts";
import { SETTING_PARSERS } from "./parsers/settings.ts";
import { STATEMENT_PARSERS } from "./parsers/statements.ts";
import { STREAM_PARSERS } from "./parsers/streams.ts";
import { TRUST_PARSERS } from "./parsers/trust.ts";
import { WITNESS_PARSERS } from "./parsers/witnesses.ts";
import { WORD_PARSERS } from "./parsers/words.ts";
import type { Parser } from "./subject.ts";

/** Every parser of untrusted input. exported-parsers.test.ts finds those that are not here. */
export const PARSERS: readonly Parser[] = [
  ...KEY_PARSERS,
  ...AGENT_PARSERS,
  ...MESSAGE_PARSERS,
  ...ENROLMENT_PARSERS,
  ...STATEMENT_PARSERS,
  ...OWNER_PARSERS,
  ...DIRECTORY_PARSERS,
  ...LOG_PARSERS,
  ...HANDSHAKE_PARSERS,
  ...STREAM_PARSERS,
  ...POLICY_PARSERS,
  ...SSH_CONFIG_PARSERS,
  ...FILE_PARSERS,
  ...TRUST_PARSERS,
  ...WITNESS_PARSERS,
  ...WORD_PARSERS,
  ...PROXY_PARSERS,
  ...RETURN_PARSERS,
  ...FORWARD_PARSERS,
  ...SETTING_PARSERS,
  ...BUILTIN_PARSERS,
  ...REPLICA_PARSERS,
  ...BROKER_PARSERS,
  ...AUDIT_PARSERS,
];
