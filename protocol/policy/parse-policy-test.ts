import { quoted } from "../../keys/names.ts";
import { type Fields, fieldsOf, required, textOf } from "./fields.ts";
import { parseLogin, parseTime } from "./parse-grant.ts";
import { parseOneService } from "./parse-services.ts";
import { parseOneClient, parseOneDevice } from "./parse-sets.ts";
import type { PolicyTest } from "./policy.ts";
import { problem } from "./problem.ts";
import type { TextNode, Tree } from "./tree.ts";

const FIELDS = ["from", "to", "service", "login", "at", "expect"];

/** One item of `tests:`. @throws {SetupError} E_POLICY. */
export function parsePolicyTest(tree: Tree): PolicyTest {
  const fields = fieldsOf(tree, "a test", FIELDS);
  const must = (name: string, form: string): TextNode =>
    textOf(required(tree, fields, name, { what: "a test", form }), { what: name, form });
  const clientForm = 'A test asks for one member of a name: from: "@acme/alice"';
  const deviceForm = "A test asks for one device by its whole name: to: gw1";
  const client = parseOneClient(must("from", clientForm), clientForm);
  const device = parseOneDevice(must("to", deviceForm), deviceForm);
  const service = parseOneService(must("service", "A test asks for one service: service: ssh"));
  const at = fields.get("at");
  const expectForm = "A test expects allow or deny: expect: deny";
  const expect = must("expect", expectForm);
  if (expect.text !== "allow" && expect.text !== "deny") {
    throw problem(expect.at, `${quoted(expect.text)} is nothing to expect.`, expectForm);
  }
  return {
    request: {
      client,
      device,
      service,
      login: loginOf(fields, service.kind === "ssh"),
      now: at === undefined ? "any time" : parseTime(at, "at"),
    },
    expect: expect.text,
    line: tree.at.line,
  };
}

function loginOf(fields: Fields, isSsh: boolean): string {
  const login = fields.get("login");
  if (login === undefined) return "";
  if (isSsh) return parseLogin(login);
  throw problem(login.at, "a login is given without ssh.", "Take it out: other services have no login.");
}
