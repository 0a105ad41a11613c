// Counts what vitest's JSON report says, and holds test/allowed-skips.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * @param {{ report: string, status: number, root: string, isWhole: boolean }} options report: the JSON file; status: vitest's
 *   exit status; isWhole: whether all tests were to run
 * @returns {{ passed: number, failed: number, skipped: number }} a test file that does not load is one failure, and so
 *   is a run that fails without any failed test
 */
export function countTests({ report, status, root, isWhole }) {
  const files = existsSync(report) ? JSON.parse(readFileSync(report, "utf8")).testResults : [];
  const tests = files.flatMap((file) => file.assertionResults);
  const count = (...states) => tests.filter((test) => states.includes(test.status)).length;

  const unloaded = files.filter((file) => file.status === "failed" && !file.assertionResults.some(hasFailed)).length;
  const forbidden = process.env.CI === "true" ? forbiddenSkips(tests, join(root, "test/allowed-skips")) : [];
  for (const name of forbidden) {
    process.stderr.write(`skipped, which test/allowed-skips does not allow: ${name}\n`);
  }
  const passed = count("passed");
  const silent = isWhole ? silentProtections(files, root) : [];
  for (const { file, name } of silent) {
    process.stderr.write(`docs/security-options.md: this test has not passed in this run: ${file}: ${name}\n`);
  }
  const failed = count("failed") + unloaded + forbidden.length + silent.length;
  const skipped = tests.length - passed - count("failed") - forbidden.length;
  return { passed, failed: failed === 0 && status !== 0 ? 1 : failed, skipped };
}

function hasFailed(test) {
  return test.status === "failed";
}

/** Names of skipped tests that the list does not hold. A line of the list: `full test name | reason`; # starts a comment. */
function forbiddenSkips(tests, listFile) {
  const lines = readFileSync(listFile, "utf8").split("\n");
  const entries = lines.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
  const allowed = new Set();
  for (const entry of entries) {
    const border = entry.lastIndexOf(" | ");
    if (border > 0 && entry.slice(border + 3).trim() !== "") allowed.add(entry.slice(0, border).trim());
    else process.stderr.write(`test/allowed-skips: not "full test name | reason": ${entry}\n`);
  }
  const skipped = tests.filter((test) => test.status !== "passed" && test.status !== "failed");
  return skipped.map((test) => test.fullName.trim()).filter((name) => !allowed.has(name));
}

/** The tests of docs/security-options.md, or whole groups of them, that did not pass. */
function silentProtections(files, root) {
  return securityTests(root).filter(({ file, name }) => {
    const tests = files
      .filter((result) => result.name.endsWith(`/${file}`))
      .flatMap((result) => result.assertionResults);
    const named = tests.filter(({ title, ancestorTitles }) => title === name || ancestorTitles.includes(name));
    return named.length === 0 || named.some(({ status }) => status !== "passed");
  });
}

/**
 * The rows of docs/security-options.md.
 * @param {string} root
 * @returns {{ file: string, name: string }[]}
 */
function securityTests(root) {
  const text = readFileSync(join(root, "docs/security-options.md"), "utf8");
  const rows = text.split("\n").filter((line) => line.startsWith("| ") && line.includes("`test/"));
  return rows.map((row) => {
    const [, , , , file = "", name = ""] = row.split("|").map((cell) => cell.trim());
    return { file: file.replaceAll("`", ""), name };
  });
}
