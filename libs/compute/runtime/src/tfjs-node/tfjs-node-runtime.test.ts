import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UnsupportedError } from '@online-cnclip/foundation';
import { createTfjsNodeRuntime } from './tfjs-node-runtime.ts';

// What needs TensorFlow itself is in test/src/tfjs-node (npm run test:tfjs-node).

test('where the package is missing, the error says how to build it', async () => {
  for (const options of [{ allowCpu: true }, { allowCpu: true, folder: '/nonexistent/tfjs-node' }])
    await assert.rejects(
      createTfjsNodeRuntime(options),
      (error) =>
        error instanceof UnsupportedError &&
        /cannot be loaded.*scripts\/build-tfjs-node\.mjs gpu/.test(error.message),
    );
});
