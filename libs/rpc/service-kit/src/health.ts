import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';

export const HEALTH_SERVICE = 'grpc.health.v1.Health';

/** The name that stands for the whole server in grpc.health.v1. */
const WHOLE_SERVER = '';

/**
 * grpc.health.v1 of a server and its services: NOT_SERVING until the service has shown that it works (a real
 * inference, not a loaded file), NOT_SERVING for good once it drains.
 */
export class Health {
  readonly #implementation = new HealthImplementation({ [WHOLE_SERVER]: 'NOT_SERVING' });
  readonly #names = [WHOLE_SERVER];
  #serving = false;
  #closed = false;

  get serving(): boolean {
    return this.#serving;
  }

  setServing(serving: boolean): void {
    if (this.#closed) return;
    this.#serving = serving;
    for (const name of this.#names) this.#implementation.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
  }

  /** NOT_SERVING from now on, whatever else is said. */
  close(): void {
    this.setServing(false);
    this.#closed = true;
  }

  addTo(server: Server, services: readonly string[]): void {
    this.#names.push(...services);
    this.#implementation.addToServer(server);
    this.setServing(this.#serving);
  }
}
