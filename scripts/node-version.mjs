// Imported before anything else, so that an old Node says what it lacks instead of failing somewhere inside.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 20)) {
  process.stderr.write(`sshnp needs Node 20.20 or later; this is Node ${process.versions.node}.\n`);
  process.exit(1);
}
