/** What is measured. Both sides of a comparison get the same work on the same number of threads. */
export interface Subject {
  readonly name: string;
  readonly unit: string;
  /** Module in subjects/ and its arguments. */
  readonly run: readonly [module: string, ...args: string[]];
  /** Function of peers/peer.py and what it stands for. */
  readonly peer?: { readonly run: string; readonly label: string };
}

export const SUBJECTS: readonly Subject[] = [
  {
    name: 'train-step',
    unit: 'pairs/s',
    run: ['train-step'],
    peer: { run: 'train-step', label: 'torch + cn_clip' },
  },
  {
    name: 'image-encode-batch',
    unit: 'images/s',
    run: ['image-encode', 'best-batch'],
    peer: { run: 'image-encode-batch', label: 'torch + cn_clip' },
  },
  {
    name: 'image-encode-1',
    unit: 'images/s',
    run: ['image-encode', '1'],
    peer: { run: 'image-encode-1', label: 'torch + cn_clip' },
  },
  {
    name: 'text-encode-real',
    unit: 'texts/s',
    run: ['text-encode', 'real'],
    peer: { run: 'text-encode-real', label: 'cn_clip as used, padded to 52' },
  },
  {
    name: 'text-encode-trimmed',
    unit: 'texts/s',
    run: ['text-encode', 'trimmed'],
    peer: { run: 'text-encode-trimmed', label: 'torch, same trimmed ids' },
  },
  {
    name: 'text-encode-1',
    unit: 'texts/s',
    run: ['text-encode', 'one'],
    peer: { run: 'text-encode-1', label: 'cn_clip as used, padded to 52' },
  },
  { name: 'online-step-cached', unit: 'of an offline step', run: ['online-step', 'cache'] },
  { name: 'online-step-wait', unit: 'of the time waiting', run: ['online-step', 'uncached'] },
  { name: 'grpc-overhead', unit: 'of in-process rate', run: ['grpc-overhead'] },
  {
    name: 'lmdb-build',
    unit: 'images/s',
    run: ['lmdb-build'],
    peer: { run: 'lmdb-build', label: "cn_clip's build_lmdb_dataset.py" },
  },
  {
    name: 'decode-resize',
    unit: 'images/s per core',
    run: ['decode-resize'],
    peer: { run: 'decode-resize', label: 'Pillow' },
  },
  {
    name: 'exact-search-1',
    unit: 'queries/s',
    run: ['exact-search', '1'],
    peer: { run: 'exact-search-1', label: 'faiss-cpu IndexFlatIP' },
  },
  {
    name: 'exact-search-64',
    unit: 'queries/s',
    run: ['exact-search', '64'],
    peer: { run: 'exact-search-64', label: 'faiss-cpu IndexFlatIP' },
  },
  { name: 'gradcache-cost', unit: "of a plain step's speed", run: ['gradcache-cost'] },
  { name: 'gradcache-memory', unit: 'times the peak of a micro-batch', run: ['gradcache-memory'] },
  { name: 'replicas-2x1', unit: "of one replica's speed", run: ['replicas', 'ratio'] },
  {
    name: 'replicas-step',
    unit: 'pairs/s',
    run: ['replicas', 'rate'],
    peer: { run: 'replicas-step', label: 'torch DDP over gloo, 2 x 1 thread' },
  },
  { name: 'all-reduce', unit: 'GB/s', run: ['all-reduce', 'rate'] },
  { name: 'all-reduce-of-socket', unit: "of a raw socket's rate", run: ['all-reduce', 'ratio'] },
  { name: 'approximate-search', unit: 'queries/s', run: ['approximate-search', 'rate'] },
  {
    name: 'approximate-of-exact',
    unit: "of the exact engine's rate",
    run: ['approximate-search', 'ratio'],
  },
  { name: 'approximate-recall', unit: 'recall@10', run: ['approximate-search', 'recall'] },
];
