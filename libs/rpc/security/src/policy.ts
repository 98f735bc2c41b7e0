import { InvalidInputError, messageOf } from '@online-cnclip/foundation';
import { parse as parseYaml, stringify } from 'yaml';
import { z } from 'zod';
import { ROLES, type Role } from './identity.ts';

/** Stands among the methods for reading the metrics, which are no gRPC. */
export const METRICS_METHOD = 'metrics';

/** `package.Service/Method`, `package.Service/*`, {@link METRICS_METHOD} or `*`. */
const methodPattern = z
  .string()
  .regex(/^(\*|metrics|[\w.]+\/(\*|\w+))$/, 'is not package.Service/Method, package.Service/*, metrics or *');

const methodList = z.array(methodPattern).readonly();

const policySchema = z.strictObject({
  /** Open to every certificate that has a role. */
  everyone: methodList.default([]),
  roles: z.partialRecord(z.enum(ROLES), methodList),
});

export type PolicyDocument = z.output<typeof policySchema>;

const encoder = (method: string): string => `onlinecnclip.encoder.v1.EncoderService/${method}`;
const trainer = (method: string): string => `onlinecnclip.trainer.v1.TrainerService/${method}`;
const ranker = (method: string): string => `onlinecnclip.ranker.v1.RankerService/${method}`;
const crawler = (method: string): string => `onlinecnclip.crawler.v1.CrawlerService/${method}`;

const ENCODING = ['GetModel', 'Tokenize', 'EncodeText', 'EncodeImage', 'Encode'].map(encoder);
const SEARCHING = [
  ...['GetIndex', 'ListIndexes', 'ListAliases', 'GetItems'],
  ...['Search', 'Ensemble', 'Evaluate'],
].map(ranker);

/** Who may do what where no policy is configured: what the services need of one another, and the three kinds of callers. */
export const DEFAULT_POLICY: PolicyDocument = {
  everyone: ['grpc.health.v1.Health/*'],
  roles: {
    client: [...ENCODING, ...SEARCHING],
    operator: [
      encoder('*'),
      trainer('*'),
      ranker('*'),
      crawler('*'),
      'grpc.reflection.v1.ServerReflection/*',
      'grpc.reflection.v1alpha.ServerReflection/*',
    ],
    // What its pages show and its buttons do; it asks its own users who they are.
    console: [encoder('GetModel'), ...SEARCHING, trainer('*'), crawler('*')],
    // Queries for online learning, adapted models to the encoder, and the other replicas.
    trainer: [
      crawler('Crawl'),
      crawler('GetImages'),
      encoder('GetModel'),
      encoder('LoadModel'),
      'onlinecnclip.replicas.v1.ReplicaService/*',
    ],
    ranker: ENCODING,
    scraper: [METRICS_METHOD],
  },
};

/** Who may call what. */
export class Policy {
  readonly #everyone: readonly string[];
  readonly #roles: PolicyDocument['roles'];

  constructor({ everyone, roles }: PolicyDocument) {
    this.#everyone = everyone;
    this.#roles = roles;
  }

  /** @param method `onlinecnclip.encoder.v1.EncoderService/EncodeText`. */
  permits(role: Role, method: string): boolean {
    const covers = (pattern: string) => matches(pattern, method);
    return this.#everyone.some(covers) || (this.#roles[role]?.some(covers) ?? false);
  }
}

/** @throws InvalidInputError naming the part of the document that is wrong. */
export function parsePolicy(yaml: string): Policy {
  let document: unknown;
  try {
    document = parseYaml(yaml);
  } catch (cause) {
    throw new InvalidInputError(`the policy is not YAML: ${messageOf(cause)}`, { cause });
  }
  const parsed = policySchema.safeParse(document);
  if (!parsed.success) {
    const reasons = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'it'}: ${message}`);
    throw new InvalidInputError(`not a policy: ${reasons.join('; ')}`);
  }
  return new Policy(parsed.data);
}

/** A document as a policy file: what to start from when the built-in one does not fit. */
export const formatPolicy = (document: PolicyDocument): string => stringify(document);

function matches(pattern: string, method: string): boolean {
  if (pattern === method) return true;
  if (pattern === '*') return method !== METRICS_METHOD;
  return pattern.endsWith('/*') && method.startsWith(pattern.slice(0, -1));
}

/** Verbs of methods that change nothing: what is not named here is an action, and audited. */
const READING =
  /\/(Get|List|Watch|Follow|Search|Tokenize|Encode|Ensemble|Evaluate|Check|ServerReflection)[A-Za-z]*$/;

/** Whether a method changes what others see: models, runs, sessions, indexes, pages asked of a shop. */
export const isAction = (method: string): boolean => !READING.test(method);
