import type { FaultRule, RecordedInput, RecordedRequest } from '@online-cnclip/fixture-shop';

/** The fixture shop's controls. */
export class ShopControl {
  readonly origin: string;

  constructor(address: string) {
    this.origin = `http://${address}`;
  }

  /** Scans and confirms every code that waits. @returns how many. */
  async scan(): Promise<number> {
    return (await this.#call<{ confirmed: number }>('POST', 'phone')).confirmed;
  }

  async answerChallenges(): Promise<void> {
    await this.#call('POST', 'answer', {});
  }

  async setFaults(rules: readonly Partial<FaultRule>[]): Promise<void> {
    await this.#call('PUT', 'faults', { rules });
  }

  async faultHits(): Promise<Readonly<Record<string, number>>> {
    return (await this.#call<{ hits: Record<string, number> }>('GET', 'faults')).hits;
  }

  async requests(): Promise<readonly RecordedRequest[]> {
    return (await this.#call<{ requests: RecordedRequest[] }>('GET', 'requests')).requests;
  }

  async inputs(): Promise<readonly RecordedInput[]> {
    return (await this.#call<{ inputs: RecordedInput[] }>('GET', 'inputs')).inputs;
  }

  async #call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(`${this.origin}/control/${path}`, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }
}
