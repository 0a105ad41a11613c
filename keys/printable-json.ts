/** A value as indented JSON with a newline at its end; what is not printable ASCII stands in it as JSON's own escapes. */
export function printableJson(value: unknown): string {
  const text = JSON.stringify(value, undefined, 2);
  return `${text.replace(/[^\n -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)}\n`;
}
