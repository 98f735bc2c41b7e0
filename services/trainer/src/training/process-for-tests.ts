// Stands in for the training process: does what the run's name says.
import type { Order, Report } from './messages.ts';

const report = (message: Report) => process.send?.(message);
const result = { outcome: 'stopped', step: 3, epoch: 1 } as const;

process.on('message', (order: Order) => {
  if (order.kind === 'stop') {
    report({ kind: 'finished', result });
    process.disconnect();
  }
  if (order.kind !== 'train') return;
  const threads = process.env['UV_THREADPOOL_SIZE'];
  report({
    kind: 'event',
    event: { kind: 'log', level: 'INFO', message: `${order.runtime.threads} ${threads}` },
  });
  switch (order.options.name) {
    case 'killed':
      process.kill(process.pid, 'SIGKILL');
      break;
    case 'ends':
      process.exit(7);
      break;
    case 'fails':
      report({
        kind: 'failed',
        error: { errorKind: 'data-loss', message: 'x.pt: damaged', stack: undefined },
      });
      process.disconnect();
      break;
    case 'defect':
      report({
        kind: 'failed',
        error: { errorKind: undefined, message: 'oops', stack: 'Error: oops\n  there' },
      });
      process.disconnect();
      break;
  }
});
