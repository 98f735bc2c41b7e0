import assert from 'node:assert/strict';
import { test } from 'node:test';
import { missed, runSoak } from './run-soak.ts';
import type { Bounds, Soak } from './soak.ts';
import { formatTable } from './table.ts';

/** The soak with its short bounds as a test: every target must be met. */
export function testShortForm<B extends Bounds>(soak: Soak<B>): void {
  test(`soak ${soak.name}, short: ${soak.description}`, async (context) => {
    const report = await runSoak(soak, {
      bounds: soak.bounds.short,
      signal: context.signal,
      tell: (line) => context.diagnostic(line),
    });
    for (const line of formatTable(report.figures).split('\n')) context.diagnostic(line);
    assert.deepEqual(missed(report), [], `seed ${report.seed}`);
  });
}
