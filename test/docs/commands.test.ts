import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");

/** Which file runs a command in a block of these documents (docs/quick-start.md is typed whole), and the words in it that do; `not run`: the document says so. */
const RUN_BY: Record<string, Record<string, readonly [file: string, words: string] | "not run">> = {
  "docs/ansible.md": {
    "ansible-playbook site.yml": ["test/e2e/openssh/ansible.test.ts", 'COMMAND.trim().split(" ")'],
  },
  "docs/audit.md": {
    "sshnp-directory audit export --data np": ["test/directory/audit-export.test.ts", 'scene.audit("export")'],
    "sshnp-directory audit export --data np --since 24h --event session": [
      "test/directory/audit-export.test.ts",
      '"--since", "24h", "--event", "session"',
    ],
    "sshnp-directory audit export --data np --format syslog": [
      "test/directory/audit-export.test.ts",
      'scene.audit("export", "--format", "syslog")',
    ],
    "sshnp-directory audit export --data np --follow --to tls://logs.example.org:6514 --cursor-file np/sent": [
      "test/directory/audit-export.test.ts",
      'follow("--to", to, "--cursor-file", cursor)',
    ],
    "sshnp-directory audit verify --data np": ["test/directory/audit.test.ts", 'scene.audit("verify")'],
    "sshnp-directory audit verify audit.ndjson --directory http://np.example.org:7800#SHA256:... --checkpoint seen": [
      "test/directory/audit.test.ts",
      'verify(older, "--checkpoint", seen)',
    ],
    "sshnp-directory audit anchor --data np": [
      "test/directory/audit.test.ts",
      '"audit", "anchor", "--data", scene.data',
    ],
  },
  "docs/docker.md": {
    "cp .env.example .env": ["test/compose/device.test.ts", '".env",'],
    "docker compose up -d": ["test/compose/device.test.ts", 'device.must("up", "-d"'],
    "docker compose -f directory.yml up -d": ["test/compose/gateway.test.ts", '["directory.yml"]'],
    "docker compose -f directory.yml exec directory sshnp-directory address --data /data": [
      "test/compose/gateway.test.ts",
      'names("address")',
    ],
    "docker compose -f directory.yml exec directory sshnp-directory name add @device --data /data": [
      "test/compose/gateway.test.ts",
      'names("name", "add", "@device")',
    ],
    "docker compose -f demo.yml up -d": ["test/compose/demo.test.ts", 'demo.must("up", "-d")'],
    "docker compose -f demo.yml exec console sshnp @client @device mygateway hostname": [
      "test/compose/demo.test.ts",
      'demo.mustExec("console", "sshnp", "@client", "@device", "mygateway", "hostname")',
    ],
    "docker compose -f demo.yml exec console scp /etc/hostname mygateway.device.np:": [
      "test/compose/demo.test.ts",
      'demo.mustExec("console", "scp", "/tmp/firmware", `${host}:`)',
    ],
    "docker compose -f demo.yml exec console scp /etc/hostname scanner.depot.np:": [
      "test/compose/demo.test.ts",
      'test.each(["mygateway.device.np", "scanner.depot.np"])',
    ],
    "docker compose -f demo.yml down -v": ["test/support/containers.ts", '"down"'],
  },
  "docs/fleet.md": {
    "docker compose -f fleet.yml up -d": ["test/compose/fleet.test.ts", "fleet.up()"],
    "docker compose -f fleet.yml exec console sshnp @client @device mygateway hostname": [
      "test/compose/fleet.test.ts",
      'fleet.mustExec("console", ...words, name, device, "hostname")',
    ],
    "docker compose -f fleet.yml kill directory-one": [
      "test/compose/fleet.test.ts",
      '["directory-one", "directory-two"]',
    ],
    "docker compose -f fleet.yml exec console sshnp @client @depot scanner hostname": [
      "test/compose/fleet.test.ts",
      '["@depot", "scanner"]',
    ],
    "docker compose -f fleet.yml start directory-one": ["test/compose/fleet.test.ts", 'fleet.must("start", killed)'],
    "docker compose -f fleet.yml kill rendezvous-north": ["test/compose/fleet.test.ts", 'fleet.must("kill", first)'],
    "docker compose -f fleet.yml exec console sshnp @client @shop kiosk hostname": [
      "test/compose/fleet.test.ts",
      '["@shop", "kiosk"]',
    ],
    "docker compose -f fleet.yml start rendezvous-north": ["test/compose/fleet.test.ts", 'fleet.must("start", first)'],
    "docker compose -f fleet.yml restart broker": ["test/compose/fleet.test.ts", 'fleet.must("restart"'],
    "docker compose -f fleet.yml down -v": ["test/compose/fleet.test.ts", 'fleet.must("down", "-v"'],
  },
  "docs/operating.md": {
    "sshnp-keys backup @acme acme.age": ["test/keys/backup.test.ts", '["backup", owned.name, backup]'],
    "sshnp-keys restore acme.age": ["test/keys/backup.test.ts", '["restore", backup]'],
    "sshnp-keys rotate @acme": ["test/keys/rotate.test.ts", '["rotate", name]'],
    "sshnp-keys rotate @acme --to agent:SHA256:...": ["test/keys/rotate.test.ts", '["rotate", name, "--to", `agent:'],
    "sshnp-keys delete @acme mygateway": ["test/keys/enrol.test.ts", '"delete", other.name, "old"'],
  },
  "docs/self-hosting.md": {
    "sshnp-directory run --data one --keys keys --store postgres://sshnp@db.example.org/sshnp --listen 0.0.0.0:7800 --public https://np.example.org":
      ["test/e2e/replicas.test.ts", '["--store", url, ...here(ports.first)]'],
    "sshnp-directory run --data two --keys keys --store postgres://sshnp@db.example.org/sshnp --listen 0.0.0.0:7800 --public https://np.example.org":
      ["test/e2e/replicas.test.ts", '"sshnp-directory", "run", ...words'],
    "sshnp-directory names --data two": ["test/e2e/replicas.test.ts", '"sshnp-directory", "names", "--data"'],
    "sshnp-directory export --data np | sshnp-directory import --data np --store postgres://sshnp@db.example.org/sshnp":
      ["test/e2e/replicas.test.ts", "| ${directory} import --data '${folder}' --store"],
    "mv np/store np-store-old": ["test/e2e/store-moves.test.ts", "mv np/store np-store-old"],
    "sshnp-directory run --data np --store postgres://sshnp@db.example.org/sshnp --listen 0.0.0.0:7800 --public https://np.example.org":
      ["test/e2e/store-moves.test.ts", 'scene.run("--store", url)'],
    "sshnp-directory run --data two --keys np --store postgres://sshnp@db.example.org/sshnp --listen 0.0.0.0:7800 --public https://np.example.org":
      ["test/e2e/store-moves.test.ts", '"two", "--keys", "np", "--store"'],
    "sshnp-directory export --data np --store postgres://sshnp@db.example.org/sshnp | sshnp-directory import --data np":
      ["test/e2e/store-moves.test.ts", 'export --data np --store "$URL" | sshnp-directory import --data'],
    "sshnp-directory run --data np": ["test/e2e/store-moves.test.ts", "scene.run()"],
    "sshnp-directory rendezvous add eu1 --data np": [
      "test/directory/command.test.ts",
      'command("rendezvous", "add", "rz1")',
    ],
    "sshnp-rendezvous run --data eu1 --directory ADDRESS -c SECRET --listen 0.0.0.0:7801 --public eu1.example.org:7801 --region eu-west":
      ["test/e2e/rendezvous-silent.test.ts", 'startFarRendezvous(stack, "far", 120, "--region", "us")'],
    "sshnp-directory rendezvous ls --data np": [
      "test/e2e/rendezvous-drain.test.ts",
      '"sshnp-directory", "rendezvous", "ls", "--data"',
    ],
    "sshnp-directory rendezvous remove eu1 --data np": [
      "test/directory/command.test.ts",
      'command("rendezvous", "remove", "rz1")',
    ],
    "useradd --system --home-dir /var/lib/sshnp-directory --shell /usr/sbin/nologin sshnp-directory": "not run",
    "install -D -m 0600 directory.env /etc/sshnp/directory.env": "not run",
    'install -m 0644 "$(npm root -g)/sshnp/docs/systemd/sshnp-directory.service" /etc/systemd/system/': "not run",
    "systemctl daemon-reload": "not run",
    "systemctl enable --now sshnp-directory": "not run",
    "runuser -u sshnp-directory -- sshnp-directory name add @device --data /var/lib/sshnp-directory": "not run",
  },
  "docs/mqtt.md": {
    "sshnp-directory run --data np --mqtt mqtts://broker.example.org:8883 --mqtt-cert directory.pem --mqtt-key directory.key":
      ["test/e2e/mqtt.test.ts", "Stack.start({ directory: options(own), withoutDaemon: true })"],
    "sshnpd -a @device -m @client -d mygateway --mqtt mqtts://broker.example.org:8883 --mqtt-cert device.pem --mqtt-key device.key":
      ["test/e2e/mqtt.test.ts", "stack.startDaemon(...options(await authority.issue(name)))"],
    "sshnp-directory broker-name @device/mygateway --directory http://np.example.org:7800#SHA256:...": [
      "test/directory/broker-name.test.ts",
      '"broker-name", "@device/mygateway", "--directory", ADDRESS',
    ],
  },
  "docs/session-keys.md": {
    "sshnp ssh-config --install --session-key": [
      "test/e2e/openssh/session-key.test.ts",
      'Person.ordinary(stack, "--session-key")',
    ],
    "ssh pi@mygateway.device.np": ["test/e2e/openssh/session-key.test.ts", 'person.must("ssh", HOST, "id -un")'],
    "sshnpd -a @device -m @client -d mygateway --session-keys pi": [
      "test/e2e/session-key.test.ts",
      '"--session-keys", stack.login',
    ],
    "sshnpd ssh-ca": ["test/e2e/session-key.test.ts", '"sshnpd", "ssh-ca", "--for", stack.login'],
    "sshnp --session-key @client @device pi@mygateway": [
      "test/e2e/session-key.test.ts",
      '"--session-key", "@client", "@device", `${stack.login}@mygateway`',
    ],
  },
  "docs/looking.md": {
    "sshnp ls @device": ["test/e2e/ls.test.ts", 'ls("@device", "-o", "table")'],
    "sshnp ping @device mygateway": ["test/e2e/ping.test.ts", 'ping("-c", "1", "@device", "mygateway")'],
    "sshnp status": ["test/e2e/doctor.test.ts", '"sshnp", "status")'],
    "sshnp doctor @device mygateway": ["test/e2e/doctor.test.ts", 'doctor("@device", "mygateway")'],
  },
  "docs/monitoring.md": {
    "sshnp-directory run --data np --metrics 127.0.0.1:9464": [
      "test/directory/metrics.test.ts",
      'directory: ["--metrics", "127.0.0.1:0"]',
    ],
    "sshnp-rendezvous run --data rz --directory 'http://np.example.org:7800#SHA256:...' --metrics 127.0.0.1:9465": [
      "test/rendezvous/metrics.test.ts",
      'rendezvous: ["--metrics", "127.0.0.1:0"]',
    ],
    "sshnpd -a @device -m @client -d mygateway --metrics 127.0.0.1:9466": [
      "test/sshnpd/metrics.test.ts",
      'daemon: ["--metrics", "127.0.0.1:0"]',
    ],
    "sshnp -v @client @device mygateway": ["test/e2e/monitoring.test.ts", '"sshnp", "-v", ...stack.words("true")'],
    "promtool check config monitoring/prometheus.yml": [
      "test/docs/monitoring.test.ts",
      'promtool("check", "config", "monitoring/prometheus.yml")',
    ],
    "promtool test rules monitoring/alerts.test.yml": [
      "test/docs/monitoring.test.ts",
      'promtool("test", "rules", "monitoring/alerts.test.yml")',
    ],
  },
  "docs/networks.md": {
    "sshnp-directory run --data np --listen 127.0.0.1:7800 --public https://np.example.org": [
      "test/directory/command.test.ts",
      'run("--public", "https://np.example.org:7800")',
    ],
    "sshnp-rendezvous run --data rz --directory ADDRESS --listen 127.0.0.1:7801 --public 203.0.113.7:7801,wss://np.example.org:443":
      [
        "test/e2e/networks.test.ts",
        "offerRendezvous(`rv.example.org:${rendezvousPort},wss://rv.example.org:${https.port}`)",
      ],
  },
  "docs/trust.md": {
    "sshnp-keys show @device": ["test/e2e/first-contact.test.ts", '"sshnp-keys", "show", "@device"'],
    "sshnp-keys show @device --qr": ["test/e2e/first-contact.test.ts", '"sshnp-keys", "show", "@device", "--qr"'],
    "sshnp trust ls": ["test/e2e/first-contact.test.ts", '"sshnp", "trust", "ls"'],
    "sshnp trust show @device": ["test/e2e/first-contact.test.ts", '"sshnp", "trust", "show", "@device"'],
    "sshnp trust show mygateway.device.np": [
      "test/e2e/first-contact.test.ts",
      '"trust", "show", "mygateway.device.np"',
    ],
    "sshnp trust show @device --qr": ["test/e2e/first-contact.test.ts", '"trust", "show", "@device", "--qr"'],
    "sshnp trust accept mygateway.device.np SHA256:...": [
      "test/e2e/wrong-state.test.ts",
      '"trust", "accept", "mygateway.device.np"',
    ],
    "sshnp trust accept @device SHA256:...": [
      "test/sshnp/pins.test.ts",
      'trust(keys, "accept", "@device", other.fingerprint)',
    ],
    "sshnp trust accept @device SHA256:... WORD WORD WORD WORD WORD WORD WORD WORD WORD WORD": [
      "test/sshnp/trust.test.ts",
      'trust(keys, "accept", "@device", text, ...heard)',
    ],
    "sshnp trust forget mygateway.device.np": [
      "test/e2e/wrong-state.test.ts",
      '"trust", "forget", "mygateway.device.np"',
    ],
    "sshnp trust forget @device": ["test/sshnp/trust.test.ts", 'trust(keys, "forget", "@device")'],
  },
  "docs/forward.md": {
    "sshnp forward @device mygateway 8080:localhost:80": ["test/e2e/forward.test.ts", "`0:127.0.0.1:${port}`"],
    "sshnp forward @device mygateway 5432:db.plant.lan:5432 8080:80": [
      "test/e2e/forward.test.ts",
      'startForward(stack, [...specs, "--socks", "0"], 5)',
    ],
    "sshnp forward @device mygateway 80": ["test/e2e/forward.test.ts", "const specs = [String(webPort),"],
    "sshnp forward @device mygateway --socks 1080": [
      "test/e2e/forward-lasting.test.ts",
      'startForward(stack, ["--socks", "0"])',
    ],
    "sshnp forward @device mygateway --unix ./db.sock:localhost:5432": [
      "test/e2e/forward-lasting.test.ts",
      '"mygateway", "--unix", `${path}:127.0.0.1:${server.port}`',
    ],
    "sshnp forward @device mygateway 80 --exec 'curl http://127.0.0.1:{port}/'": [
      "test/e2e/forward.test.ts",
      '"--exec", "curl --fail --silent http://127.0.0.1:{port}/exec"',
    ],
    "sshnp forward @device mygateway 8080:80 --keep-alive": [
      "test/e2e/forward-lasting.test.ts",
      'startForward(stack, [specOf(server), "--keep-alive"])',
    ],
  },
  "docs/keys.md": {
    "sshnp-keys otp @acme": ["test/keys/enrol.test.ts", 'must(of.owner, "otp", of.name, ...words)'],
    "sshnp-keys otp @acme --role client --member 'laptop*'": [
      "test/keys/enrol.test.ts",
      'otp("--role", "client", "--member", "laptop*")',
    ],
    "sshnp-keys enroll @acme laptop2 --otp - --directory ADDRESS": [
      "test/keys/enrol.test.ts",
      '["enroll", name, "laptop2", "--otp", "-",',
    ],
    "sshnp-keys enroll @acme gw-wait -d --otp - --wait --directory ADDRESS": [
      "test/keys/enrol.test.ts",
      '["gw-wait", "-d", "--otp", "-", "--wait"]',
    ],
    "sshnp-keys list @acme": ["test/keys/enrol.test.ts", 'must(owner, "list", name)'],
    "sshnp-keys approve @acme laptop2": ["test/keys/enrol.test.ts", "approve ${typed.name} laptop7"],
    "sshnp-keys approve @acme laptop2 --code 7k3f-9qzm-x2hc-b5w1": [
      "test/keys/enrol.test.ts",
      'must(owner, "approve", name, "laptop2", "--code", code.toUpperCase())',
    ],
    "sshnp-keys deny @acme laptop2": ["test/keys/enrol.test.ts", 'must(owner, "deny", name, "gw-stop")'],
    "sshnp-keys approve @acme --auto 'gw-*' --watch": [
      "test/keys/enrol.test.ts",
      '"approve", other.name, "--auto", "gw-*", "--watch"',
    ],
    "sshnp-keys delegate @acme --role device --pattern 'gw-*' --uses 1000 --expires 30d": [
      "test/keys/enrol.test.ts",
      '["--uses", "7", "--expires", "30d"]',
    ],
    "sshnp-keys enroll @acme gw-1 -d --token FILE --directory ADDRESS": [
      "test/keys/enrol.test.ts",
      'enroll(machines[0], "gw-1", "-d", "--token", "token")',
    ],
    "sshnp-keys revoke @acme laptop2 --reason 'stolen on 29 November'": [
      "test/keys/enrol.test.ts",
      '"revoke", other.name, "old", "--reason", "lost"',
    ],
    "sshnp-keys unrevoke @acme laptop2": ["test/keys/enrol.test.ts", '"unrevoke", other.name, "old"'],
    "sshnp-keys renew @acme": ["test/keys/renew.test.ts", '"sshnp-keys", "renew", "@client"'],
    "sshnp-keys renew @acme laptop2": ["test/keys/renew.test.ts", '"renew", "@client", member'],
    "sshnp-keys delete @acme laptop2": ["test/keys/enrol.test.ts", '"delete", other.name, "old"'],
    "sshnp-keys list @acme --all": ["test/keys/enrol.test.ts", '"list", other.name, "--all"'],
    "sshnp-keys revoke @acme --delegation ID": [
      "test/e2e/enrolment.test.ts",
      '"revoke", "@device", "--delegation", delegations',
    ],
    "sshnp-keys revoke @acme --delegation ID --cascade": [
      "test/e2e/enrolment.test.ts",
      '"--delegation", id, "--cascade"',
    ],
  },
  "docs/from-aws-secure-tunneling.md": {
    "sshnp @client @device pi@mygateway": [
      "test/support/stack.ts",
      '["@client", "@device", `${this.login}@mygateway`, ...this.sshOptions, ...words]',
    ],
    "sshnp forward @client @device mygateway 8080:localhost:80": ["test/e2e/forward.test.ts", "`0:127.0.0.1:${port}`"],
  },
  "docs/from-mender.md": {
    "sshnp @client @device pi@mygateway": [
      "test/support/stack.ts",
      '["@client", "@device", `${this.login}@mygateway`, ...this.sshOptions, ...words]',
    ],
    "sshnp forward @client @device mygateway 8080:80": [
      "test/e2e/forward.test.ts",
      'startForward(stack, [...specs, "--socks", "0"], 5)',
    ],
    "sshnp cp @device firmware.bin pi@mygateway:/tmp": [
      "test/e2e/openssh/transfers.test.ts",
      'sshnp("cp", "@device", ...ssh(), "-r", join(path, "tree"), `${at()}:',
    ],
  },
  "docs/from-autossh.md": {
    "sshnp @client @device pi@mygateway": [
      "test/support/stack.ts",
      '["@client", "@device", `${this.login}@mygateway`, ...this.sshOptions, ...words]',
    ],
    "sshnp @client @device pi@mygateway -N -L 8080:localhost:80": [
      "test/e2e/session.test.ts",
      'stack.startSsh("-v", "-N", "-L", `${path}:127.0.0.1:',
    ],
  },
  "docs/from-noports.md": {
    "sshnp -f @client -t @device -d mygateway -r @rv_eu -u pi -i ~/.ssh/id_ed25519": [
      "test/e2e/from-noports.test.ts",
      '"-f", "@client", "-t", "@device", "-d", "mygateway", "-r", "@rv_eu", "-u"',
    ],
    "sshnp @client @device pi@mygateway -i ~/.ssh/id_ed25519": [
      "test/e2e/from-noports.test.ts",
      'typed("@client", "@device", `${stack.login}@mygateway`',
    ],
    "sshnp profile import ~/.sshnp/config/acme.env": ["test/e2e/from-noports.test.ts", '"profile", "import"'],
    "sshnp profile use acme": ["test/e2e/from-noports.test.ts", '"profile", "use", "acme"'],
    "sshnp mygateway": ["test/e2e/from-noports.test.ts", '"mygateway", ...stack.sshOptions, "echo here"'],
  },
  "docs/settings.md": {
    "sshnp profile set acme client=@client device=@device wait=10m": [
      "test/sshnp/profile.test.ts",
      'profile("set", "work", "client=@alice", "device=@acme", "wait=10m")',
    ],
    "sshnp profile use acme": ["test/sshnp/profile.test.ts", 'profile("use", "work")'],
    "sshnp profile ls": ["test/sshnp/profile.test.ts", 'profile("ls")'],
    "sshnp profile show": ["test/sshnp/profile.test.ts", 'profile("show")'],
    "sshnp profile show acme": ["test/sshnp/profile.test.ts", 'profile("show", "work")'],
    "sshnp profile set acme user=pi wait=": [
      "test/sshnp/profile.test.ts",
      'profile("set", "work", "wait=", "user=pi")',
    ],
    "sshnp profile use --none": ["test/sshnp/profile.test.ts", 'profile("use", "--none")'],
    "sshnp profile rm acme": ["test/sshnp/profile.test.ts", 'profile("rm", "work")'],
    "sshnp profile import ~/.sshnp/config/acme.env": ["test/sshnp/profile.test.ts", 'profile("import", file)'],
  },
  "docs/benchmarks.md": {
    "npm run bench": "not run",
    "npm run bench -- --only carrying --seconds 10": [".ci/run", "npm run bench -- --only carrying"],
    "npm run bench -- --only log --only accounts --only revocation": "not run",
    "npm run bench -- --only connects --devices 15000 --seconds 30": "not run",
    "npm run bench -- --only connects-by-store --seconds 30": "not run",
    "npm run bench -- --only connects-by-devices --devices 15000 --seconds 60": "not run",
    "npm run bench -- --only idle-devices --only herd --devices 15000": "not run",
    "npm run bench -- --only broker-devices --devices 15000": "not run",
    "npm run bench -- --only idle-traffic --devices 200 --seconds 300": "not run",
    "npm run bench -- --only soak --devices 1000 --seconds 28800": "not run",
    "npm run bench -- --only idle-devices --only herd --only idle-daemon --devices 5000": "not run",
    "npm run faults": "not run",
    "npm run attack": [".ci/run", "npm run attack --"],
  },
};

const cases = Object.entries(RUN_BY).map(([document, commands]) => ({ document, commands }));

test.each(cases)("every command in a block of $document is known to be run by something", ({ document, commands }) => {
  const blocks = [...readFileSync(join(ROOT, document), "utf8").matchAll(/^```(\w*)\n(.*?)^```$/gms)];
  const lines = blocks.flatMap(([, language, block = ""]) => (language === "" ? block.trimEnd().split("\n") : []));
  expect(new Set(lines.map((line) => line.replace(/ {2,}.*/, "")))).toEqual(new Set(Object.keys(commands)));
});

test.each(cases)("what $document shows is run where it is said to be", ({ document, commands }) => {
  for (const [command, run] of Object.entries(commands)) {
    const [file, words] = run === "not run" ? [document, "not run in continuous integration"] : run;
    expect(readFileSync(join(ROOT, file), "utf8"), command).toContain(words);
  }
});
