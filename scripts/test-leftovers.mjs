// What tests could not clean up themselves, because they were killed: processes of the run, with which its network namespaces
// go, and ordinary users.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";

/** @param {string} run the value of SSHNP_TEST_RUN in the environment of every process of the run */
export function removeLeftovers(run) {
  if (process.platform !== "linux") return;
  endProcesses((pid) => readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(`SSHNP_TEST_RUN=${run}`));

  // test/support/ordinary-user.ts writes the run into the comment field.
  const users = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"));
  for (const [name, , uid, , comment] of users) {
    if (comment !== `sshnp test ${run}`) continue;
    endProcesses((pid) => statSync(`/proc/${pid}`).uid === Number(uid));
    execFileSync("userdel", ["--force", "--remove", name], { stdio: "ignore" });
  }
}

function endProcesses(matches) {
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      if (matches(pid)) process.kill(pid, "SIGKILL");
    } catch {
      // ended by itself, or is not ours to look at
    }
  }
}
