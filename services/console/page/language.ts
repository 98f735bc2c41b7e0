import { MESSAGES, type MessageKey } from './messages.ts';

export type { MessageKey } from './messages.ts';

export const LANGUAGES = ['en', 'zh-CN'] as const;
export type Language = (typeof LANGUAGES)[number];

/** The reader's choice outlives the tab. */
const STORAGE_KEY = 'language';

let current: Language = initialLanguage();
document.documentElement.lang = current;

/** What was chosen here before, else what the server made of Accept-Language. */
function initialLanguage(): Language {
  const wanted = localStorage.getItem(STORAGE_KEY) ?? document.documentElement.lang;
  return wanted === 'zh-CN' ? 'zh-CN' : 'en';
}

export const language = (): Language => current;

export function setLanguage(next: Language): void {
  current = next;
  localStorage.setItem(STORAGE_KEY, next);
  document.documentElement.lang = next;
}

/** A text in the reader's language; `{name}` in it is replaced by the value of that name. */
export function message(key: MessageKey, values: Readonly<Record<string, string | number>> = {}): string {
  const [english, chinese] = MESSAGES[key];
  const text = current === 'zh-CN' ? chinese : english;
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ''));
}

/** The text of a value that a service names (`login-wait`): its own name where this page has none for it. */
export function named(prefix: string, name: string): string {
  const key = `${prefix}.${name}`;
  return key in MESSAGES ? message(key as MessageKey) : name;
}

export const number = (value: number, digits = 0): string =>
  value.toLocaleString(current, { maximumFractionDigits: digits, minimumFractionDigits: digits });

/** Three significant digits, or a power of ten where that is shorter: losses and learning rates. */
export const significant = (value: number): string =>
  value !== 0 && Math.abs(value) < 0.001 ? value.toExponential(2) : String(Number(value.toPrecision(4)));

export const dateTime = (milliseconds: number | null): string =>
  milliseconds === null
    ? '–'
    : new Date(milliseconds).toLocaleString(current, { dateStyle: 'short', timeStyle: 'medium' });

/** 65 -> `1:05`; for countdowns and estimates. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, i) => (i === 0 ? String(part) : String(part).padStart(2, '0'))).join(':');
}

export function byteSize(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${number(bytes / 1000 ** power, power ? 1 : 0)} ${units[power]}`;
}
