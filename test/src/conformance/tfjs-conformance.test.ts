import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { TRACER_BACKEND } from '@online-cnclip/tracer';
import { EXCLUSIONS } from './exclusions.ts';
import { judge, type Spec } from './judge.ts';
import { runSuite } from './run-suite.ts';

const FOLDER = fileURLToPath(new URL('../../../var/conformance', import.meta.url));

const describe = ({ name, messages }: Spec): string => `${name}\n    ${messages.join('\n    ')}`;

test("TFJS's own tests pass on the tracer with onnxruntime, but for the exclusions", async (t) => {
  const specs = await runSuite(FOLDER);
  const { passed, pending, excluded, failures, stale } = judge(specs, EXCLUSIONS, TRACER_BACKEND);
  t.diagnostic(`${passed} of ${specs.length} specs passed; TFJS itself leaves out ${pending}`);
  for (const [reason, count] of excluded) t.diagnostic(`${count} excluded: ${reason}`);
  assert.deepEqual(failures.map(describe), [], `${failures.length} specs failed`);
  assert.deepEqual(stale, [], 'these exclusions excuse nothing any more: remove them');
  // Fewer would mean that the suite was not bundled whole.
  assert.ok(passed > 3000, `${passed} specs passed`);
});

const failed = (name: string, ...messages: string[]): Spec => ({ name, status: 'failed', messages });

test('a failure needs an exclusion for each of its messages', () => {
  const exclusions = [
    { reason: 'unused', kernels: ['LRN'] },
    { reason: 'rounding', specs: ['exp int32'] },
  ];
  const missing = "Error: Kernel 'LRN' not registered for backend 'b'";
  const judged = (...specs: Spec[]) => judge(specs, exclusions, 'b');
  const fine = judged(failed('lrn b {} simple', missing), failed('exp b {} int32', 'Arrays differ', 'twice'));
  assert.deepEqual(fine.failures, []);
  assert.deepEqual(fine.stale, []);
  assert.deepEqual(
    [...fine.excluded],
    [
      ['unused', 1],
      ['rounding', 1],
    ],
  );
  const partly = failed('lrn b {} simple', missing, 'Expected 1 to be 2.');
  assert.deepEqual(judged(partly).failures, [partly]);
});

test('an exclusion that excuses nothing is reported', () => {
  const exclusions = [
    { reason: 'unused', kernels: ['LRN'] },
    { reason: 'rounding', specs: ['exp int32'] },
  ];
  const { stale } = judge([{ name: 'exp b {} int32', status: 'passed', messages: [] }], exclusions, 'b');
  assert.deepEqual(stale, ['kernel LRN', 'spec "exp int32"']);
});
