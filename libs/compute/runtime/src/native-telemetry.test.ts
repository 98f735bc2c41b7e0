import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('./open-and-close-for-tests.ts', import.meta.url));

/** What a process that opens a runtime leaves in its temporary folder, where onnxruntime keeps what it reports. */
function filesLeft(context: { after(work: () => void): void }): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'native-telemetry-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const { ORT_DISABLE_TELEMETRY: _, ...environment } = process.env;
  execFileSync(process.execPath, [PROGRAM], { env: { ...environment, TMPDIR: folder } });
  return readdirSync(folder);
}

test('onnxruntime is told to report to nobody before it is loaded', (context) => {
  assert.deepEqual(filesLeft(context), []);
});
