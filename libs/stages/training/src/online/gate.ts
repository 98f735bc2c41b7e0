import type { Recall } from '../ports.ts';
import type { GateEvent } from './online-events.ts';
import type { MaxDrop } from './online-options.ts';

/** Compares recall on the gate set before and after; `maxDrop` null lets everything pass. */
export function judge(
  before: Recall,
  after: Recall,
  maxDrop: MaxDrop | null,
): Omit<GateEvent, 'kind' | 'seconds'> {
  const drop = before.meanRecall - after.meanRecall;
  return {
    before,
    after,
    drop,
    ...(maxDrop && { maxDrop }),
    passed: maxDrop === null || drop <= allowedDrop(before, maxDrop),
  };
}

/** In percentage points. */
const allowedDrop = ({ meanRecall }: Recall, { value, unit }: MaxDrop): number =>
  unit === 'points' ? value : (meanRecall * value) / 100;
