// Bundled and run as a process of its own by run-suite.ts: TFJS's tests against tracer + onnxruntime.
// Arguments: the file to write one JSON line per spec to; optionally a part of the names of the specs to run.
import { closeSync, openSync, writeSync } from 'node:fs';
import './environment.ts';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js';
import '@tensorflow/tfjs-core/dist/tests.js';
import jasmineCore from 'jasmine-core';
import type { Spec } from './judge.ts';

const [, , path = '', only] = process.argv;
const output = openSync(path, 'w');
const jasmineEnvironment = jasmineCore.jasmine.getEnv();

jasmineEnvironment.addReporter({
  specDone({ fullName, status, failedExpectations }) {
    if (status === 'excluded') return;
    const messages = failedExpectations.map(({ message }) => message);
    const spec: Spec = { name: fullName, status, messages };
    writeSync(output, `${JSON.stringify(spec)}\n`);
  },
});
if (only) jasmineEnvironment.configure({ specFilter: (spec) => spec.getFullName().includes(only) });
await jasmineEnvironment.execute();
closeSync(output);
// Some specs leave timers behind.
process.exit(0);
