import { createLogger } from '@online-cnclip/foundation';
import { inSpan, startTracing, traceOfCall } from '@online-cnclip/service-kit';
import type { AdaptEvent, TrainingEvent } from '@online-cnclip/training';
import type { Order } from './messages.ts';

const MS_PER_SECOND = 1_000;

type RunOrder = Exclude<Order, { kind: 'stop' }>;

/** Runs the order as one span, to whose end the calls that it makes belong, where the service asks for that. */
export async function traced<T>(order: RunOrder, work: () => Promise<T>): Promise<T> {
  if (order.kind === 'check' || !order.trace) return work();
  const { endpoint, ratio, traceparent } = order.trace;
  const logger = createLogger('training', 'warn');
  const tracing = await startTracing({ service: 'training', endpoint, ratio, logger });
  try {
    const attributes = { 'onlinecnclip.run': order.options.name };
    return await inSpan(`run ${order.kind}`, attributes, work, traceparent);
  } finally {
    await tracing.close();
  }
}

/** To be asked within {@link traced}: notes what a run reports as spans. A step that is not reported has none. */
export function tracedEvents(): (event: TrainingEvent | AdaptEvent) => void {
  const note = traceOfCall();
  if (!note) return () => {};
  return (event) => {
    const seconds = secondsOf(event);
    if (seconds === undefined) return;
    const endedAt = performance.now();
    const startedAt = endedAt - seconds * MS_PER_SECOND;
    note({
      name: NAME_OF_KIND[event.kind] ?? event.kind,
      startedAt,
      endedAt,
      attributes: attributesOf(event),
    });
  };
}

const NAME_OF_KIND: Readonly<Record<string, string>> = {
  step: 'training step',
  'online-step': 'online step',
};

function secondsOf(event: TrainingEvent | AdaptEvent): number | undefined {
  if (event.kind === 'step' || event.kind === 'online-step') return event.stepSeconds;
  return 'seconds' in event ? event.seconds : undefined;
}

function attributesOf(event: TrainingEvent | AdaptEvent): Record<string, number> {
  return {
    ...('step' in event && { 'onlinecnclip.step': event.step }),
    ...('loss' in event && event.loss !== undefined && { 'onlinecnclip.loss': event.loss }),
  };
}
