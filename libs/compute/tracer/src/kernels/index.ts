export type { KernelAttributes, KernelInputs } from './kernel.ts';
export { matMul as matMulValues, reshape as reshapeValue, transpose as transposeValue } from './matmul.ts';
