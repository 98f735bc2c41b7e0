/**
 * Rows of every Markdown table whose head is the one given, cell by cell, without the back quotes around them.
 *
 * @throws Error when there is no such table.
 */
export function readTables(markdown: string, head: readonly string[]): string[][] {
  const cellsOf = (line: string): string[] =>
    line
      .replace(/^\||\|$/g, '')
      .split(/(?<!\\)\|/)
      .map((cell) =>
        cell
          .trim()
          .replace(/^`(.*)`$/, '$1')
          .replaceAll('\\|', '|'),
      );
  const lines = markdown.split('\n');
  const rows: string[][] = [];
  let found = false;
  lines.forEach((line, i) => {
    if (!line.startsWith('|') || cellsOf(line).join('|') !== head.join('|')) return;
    found = true;
    for (let row = i + 2; lines[row]?.startsWith('|'); row++) rows.push(cellsOf(lines[row] ?? ''));
  });
  if (!found) throw new Error(`no table | ${head.join(' | ')} |`);
  return rows;
}
