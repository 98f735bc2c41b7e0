import { createCrawlerClient } from '@online-cnclip/client';
import { FailureReason } from '@online-cnclip/contracts/crawler/v1';
import type { CliContext } from '../context.ts';
import { withClient } from '../services.ts';
import { describeOutcome } from './fetch-queries.ts';

interface FailureOptions {
  readonly address: string;
  /** In the cache's words: `rate-limited`. */
  readonly reason?: readonly string[];
  readonly limit: number;
}

export async function listFailures(
  { address, reason = [], limit }: FailureOptions,
  context: CliContext,
): Promise<void> {
  const { print } = context;
  const reasons = reason.map(reasonOf);
  const { failures, total } = await withClient(context, createCrawlerClient, address, (crawler) =>
    crawler.listFailures({ reasons, limit }),
  );
  for (const { query, outcome, attempts } of failures)
    print(
      `${query}  ${outcome ? describeOutcome(outcome) : ''}  ${attempts} ${attempts === 1 ? 'try' : 'tries'}`,
    );
  print(`${failures.length} of ${total}`);
}

const reasonOf = (name: string): FailureReason =>
  (FailureReason as Readonly<Record<string, FailureReason>>)[
    `FAILURE_REASON_${name.toUpperCase().replaceAll('-', '_')}`
  ] ?? FailureReason.FAILURE_REASON_UNSPECIFIED;
