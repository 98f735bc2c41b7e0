/** Deeper fields of a message are shown as JSON. */
const MAX_DEPTH = 3;

export const timeOf = (time: Date | undefined): number | null => time?.getTime() ?? null;

/** Bytes as something that an `<img>` takes: pictures that must not lie around under an address of their own. */
export const dataUrl = (mediaType: string, bytes: Uint8Array): string =>
  `data:${mediaType};base64,${Buffer.from(bytes).toString('base64')}`;

/** `login-wait` for SESSION_STATE_LOGIN_WAIT; `unknown` for a value that this build's contract has no name for, or for none. */
export function enumName(values: Readonly<Record<string, number>>, prefix: string, value: number): string {
  const name = Object.keys(values).find((key) => values[key] === value);
  if (name === undefined || value === 0) return 'unknown';
  return name.slice(prefix.length).toLowerCase().replaceAll('_', '-');
}

/** The fields of any message as text, nested ones by `outer.inner`; fields that are not set are left out. */
export function fieldsOf(message: object): Record<string, string> {
  const fields: Record<string, string> = {};
  const collect = (value: unknown, name: string, depth: number): void => {
    const text = scalarText(value);
    if (text !== undefined) fields[name] = text;
    else if (typeof value === 'object' && value !== null && depth < MAX_DEPTH)
      for (const [key, inner] of Object.entries(value))
        collect(inner, name ? `${name}.${key}` : key, depth + 1);
  };
  collect(message, '', 0);
  return fields;
}

function scalarText(value: unknown): string | undefined {
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (typeof value === 'string') return value === '' ? undefined : value;
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean')
    return String(value);
  return undefined;
}
