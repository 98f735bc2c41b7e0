import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { SoakContext } from '../soak.ts';
import type { PhaseResult, PlannedRequest, TrafficPlan } from './plan.ts';

const GENERATOR = fileURLToPath(new URL('./generator.ts', import.meta.url));

/** What the generator of a load needs of a soak. */
export type TrafficContext = Pick<SoakContext<{ minutes: number }>, 'children' | 'folder' | 'tell'>;

let plans = 0;

export function writeRequests(folder: string, requests: readonly PlannedRequest[]): string {
  const path = join(folder, `requests-${plans++}.json`);
  writeFileSync(path, JSON.stringify(requests));
  return path;
}

/** Makes a load in a process of its own. @returns a result per phase. */
export async function runTraffic(
  { children, folder, tell }: TrafficContext,
  plan: TrafficPlan,
): Promise<PhaseResult[]> {
  const path = join(folder, `plan-${plans++}.json`);
  writeFileSync(path, JSON.stringify(plan));
  const child = children.spawn(process.execPath, [GENERATOR, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const results: PhaseResult[] = [];
  if (child.stdout)
    for await (const line of createInterface(child.stdout)) results.push(JSON.parse(line) as PhaseResult);
  const [code] = await ended;
  if (code !== 0 || results.length !== plan.phases.length)
    throw new Error(`the generator of the load ended with ${code} after ${results.length} phases`);
  for (const { complaint } of results) if (complaint !== undefined) tell(complaint);
  return results;
}
