/**
 * What VS Code's Remote-SSH does with ssh: `ssh -T -D PORT ... HOST bash`, a script on its standard input, which installs and
 * starts a server in the background and tells in marked lines where it listens; then connections to it through the SOCKS
 * proxy. Another window, or the same one after a loss of the network, finds the server that is there.
 */
import { freePort } from "../../support/free-port.ts";
import type { RunningProcess } from "../../support/processes.ts";
import { HOST, type Person } from "./person.ts";
import { said, throughSocks } from "./socks.ts";

export class RemoteWindow {
  readonly #ssh: RunningProcess;
  readonly #socksPort: number;
  /** What the lines of the script say. */
  readonly found: "running" | "started";
  readonly server: { readonly port: number; readonly pid: number };

  private constructor(ssh: RunningProcess, socksPort: number, answers: ReadonlyMap<string, string>) {
    this.#ssh = ssh;
    this.#socksPort = socksPort;
    this.found = answers.get("found") === "running" ? "running" : "started";
    this.server = { port: Number(answers.get("listeningOn")), pid: Number(answers.get("pid")) };
  }

  /** `folder`: where the server over there keeps its log and its process number. */
  static async open(person: Person, folder: string): Promise<RemoteWindow> {
    const socksPort = await freePort();
    const options = ["-T", "-D", `${socksPort}`, "-o", "ConnectTimeout=15", "-o", "RemoteCommand=none"];
    const ssh = person.start("ssh", ...options, HOST, "bash");
    ssh.stdin.write(installScript(folder)); // and it stays open
    await ssh.line(/^8103e3b00ff0: end$/, { timeoutMs: 60_000 });
    const [, marked = ""] = /^8103e3b00ff0: start\n(.*)^8103e3b00ff0: end$/ms.exec(ssh.stdout) ?? [];
    const answers = new Map([...marked.matchAll(/^(\w+)==(.*)==$/gm)].map(([, key = "", value = ""]) => [key, value]));
    if (answers.get("functions") !== `${FUNCTIONS}`) throw new Error(`the script was not run whole:\n${ssh.stdout}`);
    return new RemoteWindow(ssh, socksPort, answers);
  }

  /** What the server over there answers. */
  async ask(text: string): Promise<string> {
    return await said(await throughSocks(this.#socksPort, this.server.port), text);
  }

  /** Ends the shell over there, and gives ssh's status. */
  async close(): Promise<number | null> {
    this.#ssh.stdin.end("exit 3\n");
    return (await this.#ssh.exit()).code;
  }
}

/** With them the script is longer than a pipe holds (64 KiB on Linux); VS Code's own has half of that. */
const FUNCTIONS = 1_000;

function installScript(folder: string): string {
  const functions = Array.from(
    { length: FUNCTIONS },
    (_, i) => `step_${i}() {\n  local value="$1" # ${"x".repeat(60)}\n  echo "$((value + 1))"\n}\n`,
  );
  return `
set +o posix 2>/dev/null || true
VSCODE_AGENT_FOLDER='${folder}'
LOG="$VSCODE_AGENT_FOLDER/server.log"
PID="$VSCODE_AGENT_FOLDER/server.pid"
${functions.join("")}
report() { local value; value=$(cat); echo "$1==$value=="; }
is_running() { [[ -f $PID ]] && kill -0 "$(cat "$PID")" 2>/dev/null; }
found=running
if ! is_running; then
  found=started
  cat >"$VSCODE_AGENT_FOLDER/server.js" <<'EOF'
${SERVER}
EOF
  '${process.execPath}' "$VSCODE_AGENT_FOLDER/server.js" &>"$LOG" </dev/null &
  echo $! >"$PID"
fi
for _ in {1..200}; do
  port=$(grep -oP '(?<=agent listening on )\\d+' "$LOG" 2>/dev/null) && break
  sleep 0.1
done
echo "8103e3b00ff0: start"
report functions < <(declare -F | grep -c ' step_')
report found <<<"$found"
report listeningOn <<<"$port"
report pid < <(cat "$PID")
report platform < <(uname -s)
echo "8103e3b00ff0: end"
`;
}

/** It answers with what was said, and ends by itself some time after a test that forgot it. */
const SERVER = `
const server = require("node:net").createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
server.listen(0, "127.0.0.1", () => console.log("Extension host agent listening on " + server.address().port));
setTimeout(() => process.exit(), 300_000);`;
