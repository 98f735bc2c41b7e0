// docs/deployment.md: the overlay it shows is rendered, the paths it names exist, its table is the manifests'.
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { controlPlaneOrSkip } from './control-plane/binary.ts';
import { Kubectl } from './control-plane/kubectl.ts';
import { overlayPath, render, root, variableOf, workloadOf, workloadsOf } from './overlays.ts';

const { path, skip } = controlPlaneOrSkip(process.env);
const text = readFileSync(join(root, 'docs/deployment.md'), 'utf8');

suite('docs/deployment.md', { skip }, () => {
  const kubectl = new Kubectl(path);

  test('the overlay that it shows has the replicas, WORLD_SIZE, image and checkpoint that it sets', async (t) => {
    const [, yaml = ''] = /```yaml\n(# deploy\/k8s\/overlays\/mine[\s\S]*?)```/.exec(text) ?? [];
    const folder = mkdtempSync(join(tmpdir(), 'overlay-'));
    t.after(() => rmSync(folder, { recursive: true }));
    cpSync(join(root, 'deploy/k8s'), folder, { recursive: true });
    mkdirSync(join(folder, 'overlays/mine'));
    writeFileSync(join(folder, 'overlays/mine/kustomization.yaml'), yaml);
    const manifests = await render(kubectl, join(folder, 'overlays/mine'));
    const trainer = workloadOf(manifests, 'trainer');
    assert.equal(trainer.spec.replicas, 16);
    assert.equal(variableOf(trainer, 'WORLD_SIZE'), '16');
    const [container] = trainer.spec.template.spec.containers;
    assert.match(container?.image ?? '', /^registry\.example\/online-cnclip\/trainer-gpu:/);
    const [source] = workloadOf(manifests, 'encoder').spec.template.spec.containers[0]?.envFrom ?? [];
    const settings = manifests.find(({ metadata }) => metadata.name === source?.configMapRef.name);
    assert.equal(
      settings?.data?.['ONLINE_CNCLIP_ENCODER_CHECKPOINT'],
      'experiments/mine/checkpoints/epoch_latest.pt',
    );
    // Merged, not replaced.
    assert.equal(settings?.data?.['ONLINE_CNCLIP_ENCODER_VISION_MODEL'], 'ViT-B-16');
  });

  test('the paths that its commands name exist', () => {
    const paths = new Set(text.match(/\bdeploy\/[\w./-]+\w/g));
    paths.delete('deploy/k8s/overlays/mine/kustomization.yaml');
    // Made by the reader.
    paths.delete('deploy/compose/session.key');
    for (const one of paths) if (one.startsWith('deploy/compose/certs')) paths.delete(one);
    assert.ok(paths.size >= 5, [...paths].join());
    for (const one of paths) assert.ok(existsSync(join(root, one)), one);
  });

  test('its table of ports is that of the manifests', async () => {
    const rows = [...text.matchAll(/^\| (\w+) \| (\d+) \| (\d+) \| (\d+|-) \|/gm)].map(
      ([, ...cells]) => cells,
    );
    const manifests = await render(kubectl, overlayPath('gpu'));
    const expected = workloadsOf(manifests).map(({ metadata, spec }) => {
      const ports = spec.template.spec.containers[0]?.ports ?? [];
      const numberOf = (wanted: string) => {
        const port = ports.find(({ name }) => name === wanted);
        return port ? String(port.containerPort) : '-';
      };
      const own = metadata.name === 'console' ? 'http' : 'grpc';
      return [metadata.name, ...[own, 'metrics', 'health'].map(numberOf)];
    });
    assert.deepEqual(rows.sort(), expected.sort());
  });
});
