import { readFileSync } from 'node:fs';
import { parse as parseYaml } from 'yaml';
import type { z } from 'zod';
import { InvalidInputError, messageOf } from './errors.ts';
import { suggestion } from './nearest.ts';

/**
 * One setting: its schema (with default and description) and where it may come from besides the file.
 * The key in a configuration file is the field's own name; the flag is the name in kebab-case.
 */
export interface Setting<T extends z.ZodType = z.ZodType> {
  readonly schema: T;
  readonly environment: string;
}

export type Settings = Readonly<Record<string, Setting>>;
export type ConfigOf<S extends Settings> = { readonly [K in keyof S]: z.output<S[K]['schema']> };

export interface ConfigSources {
  /** YAML or JSON file; its keys are the settings' names. */
  readonly file?: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Variables that begin so are for these settings alone: one that none of them has is an error. */
  readonly environmentPrefix?: string | undefined;
  /** Command line, without the interpreter and script: `--listen-address 127.0.0.1:0` or `--name=value`. */
  readonly flags: readonly string[];
}

export const setting = <T extends z.ZodType>(environment: string, schema: T): Setting<T> => ({
  environment,
  schema,
});

export const flagOf = (name: string): string => `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;

/**
 * Compiles settings once: flag over environment over file over default. `--config FILE` names the file.
 *
 * @throws InvalidInputError naming the setting, its source and the value, or an unknown flag, variable or file key and
 *   what it was probably meant to be.
 */
export function loadConfig<S extends Settings>(settings: S, sources: ConfigSources): ConfigOf<S> {
  const flags = parseFlags(settings, sources.flags);
  const path = flags.get('config') ?? sources.file;
  const file = path === undefined ? {} : readConfigFile(settings, path);
  requireKnownVariables(settings, sources);
  const config: Record<string, unknown> = {};
  for (const [name, { schema, environment }] of Object.entries(settings)) {
    const [raw, source] = flags.has(name)
      ? [flags.get(name), flagOf(name)]
      : sources.environment[environment] !== undefined
        ? [sources.environment[environment], environment]
        : [file[name], path === undefined ? name : `${path}: ${name}`];
    const parsed = schema.safeParse(raw);
    if (!parsed.success) {
      const reason = parsed.error.issues.map((issue) => issue.message).join('; ');
      throw new InvalidInputError(`${JSON.stringify(raw)} is not valid: ${reason}`, { place: source });
    }
    config[name] = parsed.data;
  }
  return Object.freeze(config) as ConfigOf<S>;
}

/** One line per setting: flag, environment variable, default, description. */
export function describeSettings(settings: Settings): string {
  return Object.entries(settings)
    .map(([name, { schema, environment }]) => {
      const fallback = schema.safeParse(undefined);
      const value = fallback.success && fallback.data !== undefined ? ` [${String(fallback.data)}]` : '';
      return `  ${flagOf(name).padEnd(28)} ${environment.padEnd(34)} ${schema.description ?? ''}${value}`;
    })
    .join('\n');
}

/** What Kubernetes and Docker set for services whose names begin so: no settings. */
const SERVICE_LINK = /^(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)$/;
const SERVICE_URL = /^(tcp|udp):\/\//;

function requireKnownVariables(settings: Settings, { environment, environmentPrefix }: ConfigSources): void {
  if (environmentPrefix === undefined) return;
  const known = new Set(Object.values(settings).map((each) => each.environment));
  for (const [name, value = ''] of Object.entries(environment)) {
    if (!name.startsWith(environmentPrefix) || known.has(name)) continue;
    if (!SERVICE_LINK.test(name.slice(environmentPrefix.length)) && !SERVICE_URL.test(value))
      throw new InvalidInputError(`no setting has this variable${suggestion(name, known)}`, { place: name });
  }
}

function parseFlags(settings: Settings, flags: readonly string[]): Map<string, string> {
  const names = new Map([...Object.keys(settings), 'config'].map((name) => [flagOf(name), name]));
  const values = new Map<string, string>();
  for (let i = 0; i < flags.length; i++) {
    const [flag = '', inline] = (flags[i] ?? '').split(/=(.*)/s);
    const name = names.get(flag);
    if (!name)
      throw new InvalidInputError(
        `unknown option${suggestion(flag, names.keys())}; known: ${[...names.keys()].join(' ')}`,
        { place: flag },
      );
    const value = inline ?? flags[++i];
    if (value === undefined) throw new InvalidInputError('needs a value', { place: flag });
    values.set(name, value);
  }
  return values;
}

function readConfigFile(settings: Settings, path: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = parseYaml(readFileSync(path, 'utf8')) ?? {};
  } catch (cause) {
    throw new InvalidInputError(`cannot be read as configuration: ${messageOf(cause)}`, {
      place: path,
      cause,
    });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new InvalidInputError('is not a mapping of settings', { place: path });
  const unknown = Object.keys(parsed).filter((key) => !(key in settings));
  const [first] = unknown;
  if (first !== undefined)
    throw new InvalidInputError(
      `unknown settings ${unknown.join(', ')}${suggestion(first, Object.keys(settings))}`,
      { place: path },
    );
  return parsed as Record<string, unknown>;
}
