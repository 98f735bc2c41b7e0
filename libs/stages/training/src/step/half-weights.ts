import type { Arena } from './arena.ts';

/** Of these the research code keeps single precision: norms, and what is looked up rather than multiplied. */
const SINGLE = /(^|\.)(ln_\w+|LayerNorm|bn\d|downsample\.1)\.|embedding|logit_scale/;

/** Rounds the weights of matrix products and convolutions to what half precision holds. */
export async function roundToHalf(parameters: Arena): Promise<void> {
  const names = [...parameters.tensors.keys()].filter((name) => !SINGLE.test(name));
  for (const [name, { data }] of await parameters.read(names))
    if (names.includes(name)) parameters.write(name, data.map(Math.f16round));
}
