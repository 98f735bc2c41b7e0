import type { Figure } from './soak.ts';

const formatValue = (value: number): string =>
  Number.isInteger(value) || !Number.isFinite(value) ? String(value) : value.toPrecision(4);

/** One line per figure: name, value with unit, target, met or MISSED. */
export function formatTable(figures: readonly Figure[]): string {
  const rows = figures.map(({ name, value, unit, target, met }) => [
    name,
    `${formatValue(value)}${unit && ` ${unit}`}`,
    target ?? '',
    met === undefined ? '' : met ? 'met' : 'MISSED',
  ]);
  const all = [['figure', 'value', 'target', ''], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
