import { type JoinResponse, ReplicaServiceService } from '@online-cnclip/contracts/replicas/v1';
import { UnsupportedError } from '@online-cnclip/foundation';
import { type Handlers, type Implementation, implement } from '@online-cnclip/service-kit';
import type { Coordinator } from './coordination/coordinator.ts';
import type { GroupEvent } from './coordination/events.ts';
import type { RunOrders } from './coordination/run-orders.ts';

/** The gRPC service of a coordinator, and of the orders of a trainer where it is one that serves. */
export function replicaService(coordinator: Coordinator, orders?: RunOrders): Implementation {
  return implement(ReplicaServiceService, replicaHandlers(coordinator, orders));
}

function replicaHandlers(
  coordinator: Coordinator,
  orders: RunOrders | undefined,
): Handlers<typeof ReplicaServiceService> {
  return {
    async *join(request, { signal }) {
      const joining = { ...request, step: Number(request.step) };
      for await (const event of coordinator.join(joining, signal)) yield joinResponse(event);
    },

    async setValue({ run, generation, key, value }) {
      coordinator.groupOf(run).setValue(Number(generation), key, value);
      return {};
    },

    async getValue({ run, generation, key }, { signal }) {
      const value = await coordinator.groupOf(run).getValue(Number(generation), key, signal);
      return { value: Buffer.from(value) };
    },

    async finish({ run, generation, rank }, { signal }) {
      await coordinator.groupOf(run).finish(Number(generation), rank, signal);
      return {};
    },

    async *followRuns({ rank, worldSize }, { signal, draining }) {
      if (!orders) throw new UnsupportedError('this is the rendezvous of one run, not a trainer');
      const either = AbortSignal.any([signal, draining]);
      for await (const order of orders.follow(rank, worldSize, either))
        yield { order: order === 'none' ? undefined : { ...order } };
    },
  };
}

function joinResponse(event: GroupEvent): JoinResponse {
  switch (event.kind) {
    case 'awaited':
      return { event: { $case: 'awaited', value: { ranks: [...event.ranks] } } };
    case 'gathered': {
      const { root } = event;
      const [generation, step] = [BigInt(event.generation), BigInt(event.step)];
      return { event: { $case: 'gathered', value: { generation, root, step, behind: [...event.behind] } } };
    }
    case 'dissolved':
      return { event: { $case: 'dissolved', value: { rank: event.rank, reason: event.reason } } };
    case 'finished':
      return { event: { $case: 'finished', value: {} } };
  }
}
