import { createInterface } from 'node:readline';

/** The measured side's half of the protocol in measure.ts. `work` returns a rate, higher is better. */
export async function serve(
  work: () => Promise<number>,
  close: () => Promise<void> = async () => {},
): Promise<void> {
  for await (const line of createInterface(process.stdin))
    if (line === 'round') console.log(JSON.stringify({ value: await work() }));
  console.log(JSON.stringify({ peak_gb: process.resourceUsage().maxRSS / 1e6 }));
  await close();
  process.exit(0);
}

export const threads = Number(process.env['BENCH_THREADS'] ?? 2);
export const folder = process.env['BENCH_FOLDER'] ?? 'var/bench';

/** Runs work until a time has passed; returns units per second. */
export async function rateOf(
  units: number,
  work: () => Promise<unknown>,
  minimumSeconds = 2,
): Promise<number> {
  const start = performance.now();
  let done = 0;
  do {
    await work();
    done += units;
  } while (performance.now() - start < minimumSeconds * 1000);
  return (done * 1000) / (performance.now() - start);
}

/** The queries that both sides encode: real ones of a shop's search. */
export const QUERIES: readonly string[] = Array.from({ length: 8 }, () => [
  '红色连衣裙',
  '男士运动鞋 透气',
  '儿童积木玩具',
  '不锈钢保温杯 500ml',
  '蓝牙耳机',
  '真皮手提包',
  '机械键盘 青轴',
  '猫粮 2kg',
]).flat();

export const VISION_MODEL = 'ViT-B-16';
export const TEXT_MODEL = 'RoBERTa-wwm-ext-base-chinese';
