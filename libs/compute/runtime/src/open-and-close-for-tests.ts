// A process that computes something and ends.
import { float32 } from '@online-cnclip/foundation';
import { mul, type Tensor } from '@tensorflow/tfjs-core';
import { createOnnxRuntime } from './index.ts';

const runtime = createOnnxRuntime({ threads: 1 });
const executable = await runtime.prepare({
  name: 'double',
  inputs: [{ name: 'x', dtype: 'float32', shape: ['n'] }],
  build: ({ x }) => ({ y: mul(x as Tensor, 2) }),
});
await executable.run({ x: float32([2], Float32Array.of(1, 2)) });
await runtime.dispose();
process.exit(0);
