import { squareSumProgram } from '@online-cnclip/network';
import type { Runtime } from '@online-cnclip/runtime';
import type { Arena } from './arena.ts';

/** Finds overflow in an arena of gradients. */
export interface GradientCheck {
  isFinite(gradients: Arena): Promise<boolean>;
  dispose(): Promise<void>;
}

export async function createGradientCheck(runtime: Runtime): Promise<GradientCheck> {
  const squareSum = await runtime.prepare(squareSumProgram());
  return {
    async isFinite(gradients) {
      const pieces = gradients.pieces(0, gradients.layout.length);
      const sums = await Promise.all(pieces.map((x) => squareSum.run({ x })));
      return sums.every((outputs) => Number.isFinite(Number(outputs['square']?.data[0])));
    },
    dispose: () => squareSum.dispose(),
  };
}
