import { setTimeout as sleep } from 'node:timers/promises';
import type { CrawlerClient } from '@online-cnclip/client';
import { ListSessionsRequest } from '@online-cnclip/contracts/crawler/v1';
import { messageOf } from '@online-cnclip/foundation';
import type { EventStream } from '../http/event-stream.ts';
import { sessionView } from '../views/crawl-view.ts';
import type { SessionEvents } from '../wire.ts';

/** How soon a session that somebody else opened appears. */
const LIST_INTERVAL_MS = 1_000;

/**
 * Every session of the crawler as it changes, over one stream (a browser allows a page six). Codes and screenshots come from
 * the watched sessions only and are kept nowhere. A crawler that cannot be reached is said to be so, and asked again.
 */
export async function followSessions(
  crawler: CrawlerClient,
  stream: EventStream<SessionEvents>,
): Promise<void> {
  const watchers = new Map<string, Promise<void>>();
  let told = '';
  let trouble: string | undefined;
  while (!stream.signal.aborted) {
    try {
      const { sessions } = await crawler.listSessions(ListSessionsRequest.fromPartial({}), {
        signal: stream.signal,
      });
      for (const session of sessions) {
        const id = String(session.sessionId);
        if (!watchers.has(id)) watchers.set(id, watch(crawler, session.sessionId, stream, watchers));
      }
      const ids = sessions.map(({ sessionId }) => String(sessionId));
      if (ids.join() !== told || trouble !== '') await stream.send('sessions', { ids });
      told = ids.join();
      if (trouble !== '') await stream.send('trouble', { message: '' });
      trouble = '';
    } catch (error) {
      if (stream.signal.aborted) break;
      if (trouble !== messageOf(error)) await stream.send('trouble', { message: messageOf(error) });
      trouble = messageOf(error);
    }
    await sleep(LIST_INTERVAL_MS, undefined, { signal: stream.signal }).catch(() => undefined);
  }
  await Promise.all(watchers.values());
}

/** Until the session is retired or the watching breaks; the next list watches it again where it is still there. */
async function watch(
  crawler: CrawlerClient,
  sessionId: bigint,
  stream: EventStream<SessionEvents>,
  watchers: Map<string, Promise<void>>,
): Promise<void> {
  try {
    for await (const { session } of crawler.watchSession({ sessionId }, { signal: stream.signal }))
      if (session) await stream.send('session', sessionView(session));
  } catch {
    // The list tells the page of a crawler that is gone; a session that is gone is no trouble.
  } finally {
    watchers.delete(String(sessionId));
  }
}
