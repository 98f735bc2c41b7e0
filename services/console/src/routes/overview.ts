import { messageOf } from '@online-cnclip/foundation';
import type { FastifyInstance } from 'fastify';
import { type Clients, SERVICE_NAMES, type ServiceName } from '../clients.ts';
import { modelView } from '../views/search-view.ts';
import type { ModelView, Overview, RollBack, ServiceHealth } from '../wire.ts';

/** What waits for the overview waits for the slowest service. */
const TIMEOUT_MS = 3_000;
/** The encoder reads, traces and prepares a model, which takes minutes for a large one on few cores. */
const ROLL_BACK_TIMEOUT_MS = 10 * 60_000;

export function overviewRoutes(app: FastifyInstance, clients: Clients): void {
  app.get('/api/overview', async (): Promise<Overview> => {
    const [services, model] = await Promise.all([
      Promise.all(SERVICE_NAMES.map((name) => healthOf(clients, name))),
      loadedModel(clients),
    ]);
    return { services, model };
  });

  app.post('/api/model/roll-back', async (): Promise<RollBack> => {
    const back = await clients.trainer.rollBackModel({}, { timeoutMs: ROLL_BACK_TIMEOUT_MS });
    const { checkpointPath, replacedCheckpointPath } = back;
    return { checkpointPath, replacedCheckpointPath };
  });
}

async function healthOf({ health, addresses }: Clients, name: ServiceName): Promise<ServiceHealth> {
  const base = { name, address: addresses[name] };
  try {
    const serving = await health[name].isServing();
    return { ...base, state: serving ? 'serving' : 'not-serving', detail: '' };
  } catch (error) {
    return { ...base, state: 'unreachable', detail: messageOf(error) };
  }
}

/** Null while no model is loaded or the encoder does not answer: the overview says which. */
export async function loadedModel({ encoder }: Clients): Promise<ModelView | null> {
  try {
    const { model } = await encoder.getModel({}, { timeoutMs: TIMEOUT_MS });
    return model ? modelView(model) : null;
  } catch {
    return null;
  }
}
