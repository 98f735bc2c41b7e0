import { setTimeout as sleep } from 'node:timers/promises';
import type { CrawlerClient } from '@online-cnclip/client';
import { type Session, SessionState } from '@online-cnclip/contracts/crawler/v1';
import type { ShopControl } from './shop-control.ts';

/** Between two looks at the sessions. */
const LOOK_MS = 200;

/**
 * The person who keeps sessions logged in: scans codes, answers challenges at the shop and says so, logs in again. Goes
 * on through every end of the service.
 */
export class Operator {
  readonly #client: () => CrawlerClient;
  readonly #shop: ShopControl;
  readonly #sessions: number;
  readonly #expired = new Set<string>();

  constructor(client: () => CrawlerClient, shop: ShopControl, sessions: number) {
    this.#client = client;
    this.#shop = shop;
    this.#sessions = sessions;
  }

  /** Times that a session was found logged out. */
  get expirations(): number {
    return this.#expired.size;
  }

  async work(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // The service may be between its end and its next start.
      await this.#look().catch(() => {});
      await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
    }
  }

  async #look(): Promise<void> {
    const client = this.#client();
    const { sessions } = await client.listSessions({ states: [] });
    for (const session of sessions) await this.#lookAfter(client, session);
    if (sessions.length < this.#sessions) await client.openSession({ label: 'soak' });
  }

  async #lookAfter(client: CrawlerClient, { sessionId, state, changeTime }: Session): Promise<void> {
    switch (state) {
      case SessionState.SESSION_STATE_LOGIN_WAIT:
        await this.#shop.scan();
        break;
      case SessionState.SESSION_STATE_EXPIRED:
        this.#expired.add(`${sessionId} ${changeTime?.getTime()}`);
        await client.resolveChallenge({ sessionId });
        break;
      case SessionState.SESSION_STATE_PARKED:
        await this.#shop.answerChallenges();
        await client.resolveChallenge({ sessionId });
        break;
      case SessionState.SESSION_STATE_SUSPECT:
        await client.resolveChallenge({ sessionId });
        break;
      default:
    }
  }
}
