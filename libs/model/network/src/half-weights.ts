/**
 * `fp32`: all in single precision. `amp`: matrix products and convolutions in half precision, weights in single. `fp16`: the
 * same, and the weights of products rounded to half precision, too.
 */
export const COMPUTE_PRECISIONS = ['amp', 'fp16', 'fp32'] as const;
export type ComputePrecision = (typeof COMPUTE_PRECISIONS)[number];

/** Of these the research code keeps single precision: norms, and what is looked up rather than multiplied. */
const SINGLE = /(^|\.)(ln_\w+|LayerNorm|bn\d|downsample\.1)\.|embedding|logit_scale/;

/** Whether `fp16` rounds this parameter to half precision: a weight of matrix products or convolutions. */
export const isHalfWeight = (name: string): boolean => !SINGLE.test(name);
