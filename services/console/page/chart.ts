import { fill, h } from './dom.ts';
import { significant } from './language.ts';
import UPlot from './vendor/uplot.js';

export interface Curve {
  readonly label: string;
  /** Name of the CSS variable of its colour. */
  readonly color: string;
}

/** x values, then one row per curve; null where a curve has no point. */
export type ChartData = [number[], ...(number | null)[][]];

const HEIGHT = 200;
/** More points than this are a line without dots. */
const MAX_DOTS = 40;

/** A line chart with a heading that names the latest values, which is also what a screen reader gets of it. */
export class Chart {
  readonly element: HTMLElement;
  readonly #curves: readonly Curve[];
  readonly #latest = h('span', { class: 'latest' });
  readonly #canvas = h('div', { class: 'plot', role: 'img' });
  readonly #title: string;
  #plot: UPlot | undefined;
  #data: ChartData;

  constructor(title: string, curves: readonly Curve[], signal: AbortSignal) {
    this.#title = title;
    this.#curves = curves;
    this.#data = [[], ...curves.map(() => [])];
    this.element = h(
      'figure',
      { class: 'chart' },
      h('figcaption', {}, h('span', {}, title), this.#latest),
      this.#canvas,
    );
    // A picture has a name before it has its first point.
    this.#showLatest();
    const resized = new ResizeObserver(([entry]) => this.#resize(entry?.contentRect.width ?? 0));
    resized.observe(this.#canvas);
    // The colours are read off the style once, so they are read again when that changes.
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#rebuild(), { signal });
    signal.addEventListener('abort', () => {
      resized.disconnect();
      this.#plot?.destroy();
    });
  }

  set(data: ChartData): void {
    this.#data = data;
    this.#plot?.setData(data);
    this.#showLatest();
  }

  #showLatest(): void {
    const [steps, ...rows] = this.#data;
    const latest = this.#curves.map(({ label, color }, i) => {
      const value = rows[i]?.findLast((one) => one !== null);
      const swatch = h('i', { class: 'swatch', 'aria-hidden': 'true' });
      swatch.style.setProperty('--swatch', `var(${color})`);
      return { text: `${label} ${value === undefined || value === null ? '–' : significant(value)}`, swatch };
    });
    fill(this.#latest, ...latest.map(({ text, swatch }) => h('span', {}, swatch, text)));
    const words = [this.#title, `${steps.at(-1) ?? '–'}`, ...latest.map(({ text }) => text)];
    this.#canvas.setAttribute('aria-label', words.join(', '));
    this.#canvas.dataset['points'] = String(steps.length);
  }

  #resize(width: number): void {
    if (width <= 0) return;
    if (this.#plot) this.#plot.setSize({ width, height: HEIGHT });
    else this.#build(width);
  }

  #rebuild(): void {
    const width = this.#canvas.clientWidth;
    this.#plot?.destroy();
    this.#plot = undefined;
    this.#resize(width);
  }

  #build(width: number): void {
    const style = getComputedStyle(this.#canvas);
    const color = (name: string): string => style.getPropertyValue(name).trim();
    const axis = {
      stroke: color('--chart-text'),
      grid: { stroke: color('--chart-grid'), width: 1 },
      ticks: { show: false },
      font: `11px ${style.fontFamily}`,
    };
    this.#plot = new UPlot(
      {
        width,
        height: HEIGHT,
        legend: { show: false },
        padding: [8, 12, 0, 0],
        cursor: { drag: { x: true, y: false } },
        scales: { x: { time: false } },
        axes: [
          {
            ...axis,
            size: 28,
            values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? String(tick) : '')),
          },
          { ...axis, size: 56, values: (_, ticks) => ticks.map(significant) },
        ],
        series: [
          {},
          ...this.#curves.map(({ label, color: name }) => ({
            label,
            stroke: color(name),
            width: 1.5,
            spanGaps: true,
            points: { show: (plot: UPlot) => (plot.data[0]?.length ?? 0) <= MAX_DOTS },
          })),
        ],
      },
      this.#data,
      this.#canvas,
    );
  }
}
