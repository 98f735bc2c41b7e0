import { setTimeout as sleep } from 'node:timers/promises';
import type { HealthClient } from '@online-cnclip/client';
import type { ServiceProcess } from '../children.ts';

/** Until the service says that it serves; closes the client. @throws when its process ends before. */
export async function untilServing(health: HealthClient, { child }: ServiceProcess): Promise<void> {
  try {
    while (!(await health.isServing())) {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`the service ended with ${child.exitCode ?? child.signalCode} before it served`);
      await sleep(50);
    }
  } finally {
    health.close();
  }
}
