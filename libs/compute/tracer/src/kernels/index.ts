export type { KernelAttributes, KernelInputs } from './kernel.ts';
export { matMul as matMulValues, transpose as transposeValue } from './matmul.ts';
