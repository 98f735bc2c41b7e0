import { FailedPreconditionError } from '@online-cnclip/foundation';
import { type Collectives, checkBroadcast, checkFloats, checkGather } from './collectives.ts';

/** The group of one: every collective is the identity, and nothing native is needed. */
export function singleReplica(): Collectives {
  let isClosed = false;
  const open = () => {
    if (isClosed) throw new FailedPreconditionError('the group is closed');
  };
  return {
    rank: 0,
    worldSize: 1,
    async allReduceSum(buffer) {
      open();
      checkFloats(buffer, 'buffer');
    },
    async allGather(input, output) {
      open();
      checkGather(input, output, 1);
      output.set(input);
    },
    async broadcast(array, root) {
      open();
      checkBroadcast(array, root, 1);
    },
    async barrier() {
      open();
    },
    async close() {
      isClosed = true;
    },
  };
}
