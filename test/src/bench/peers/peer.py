"""The Python reference stack's side of the benchmark (protocol: ../measure.ts). usage: peer.py SUBJECT"""
import contextlib
import json
import os
import resource
import runpy
import shutil
import sys
import time

FOLDER = os.environ.get("BENCH_FOLDER", "var/bench")
THREADS = int(os.environ.get("BENCH_THREADS", "2"))
QUERIES = ["红色连衣裙", "男士运动鞋 透气", "儿童积木玩具", "不锈钢保温杯 500ml", "蓝牙耳机", "真皮手提包", "机械键盘 青轴", "猫粮 2kg"] * 8


def rate_of(units, work, minimum_seconds=2.0):
    start, done = time.perf_counter(), 0
    while done == 0 or time.perf_counter() - start < minimum_seconds:
        work()
        done += units
    return done / (time.perf_counter() - start)


def model():
    import torch
    import cn_clip.clip as clip
    from cn_clip.clip.model import CLIP

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    folder = os.path.join(os.path.dirname(clip.__file__), "model_configs")
    config = {}
    for name in ("ViT-B-16", "RoBERTa-wwm-ext-base-chinese"):
        with open(os.path.join(folder, name + ".json")) as file:
            config.update(json.load(file))
    return torch, clip, CLIP(**config)


def train_step():
    torch, clip, net = model()
    functional = torch.nn.functional
    net.train()
    exempt = lambda name: any(part in name for part in ("bn", "ln", "bias", "logit_scale"))
    groups = [
        {"params": [p for n, p in net.named_parameters() if exempt(n)], "weight_decay": 0.0},
        {"params": [p for n, p in net.named_parameters() if not exempt(n)], "weight_decay": 0.001},
    ]
    optimizer = torch.optim.AdamW(groups, lr=5e-5, betas=(0.9, 0.98), eps=1e-6)
    batch = 16
    images, texts = torch.randn(batch, 3, 224, 224), clip.tokenize(QUERIES[:batch], context_length=24)

    def dsl(logits):
        weighted = logits * functional.softmax(logits / 1000, 0) * batch
        return -torch.diag(functional.log_softmax(weighted, -1)).mean()

    def work():
        start = time.perf_counter()
        optimizer.zero_grad()
        image, text, scale = net(images, texts)
        logits = scale * image @ text.t()
        (dsl(logits) + dsl(logits.t())).backward()
        optimizer.step()
        return batch / (time.perf_counter() - start)

    return work


def image_encode(sizes):
    torch, _, net = model()
    net.eval()

    def encode(size):
        images = torch.randn(size, 3, 224, 224)

        def work():
            with torch.inference_mode():
                net.encode_image(images)

        work()
        return size, work

    works = [encode(size) for size in sizes]
    size, work = max(works, key=lambda pair: rate_of(*pair)) if len(works) > 1 else works[0]
    return lambda: rate_of(size, work)


def text_encode(kind):
    torch, clip, net = model()
    net.eval()
    queries = QUERIES[:1] if kind == "one" else QUERIES
    ids = clip.tokenize(queries, context_length=52)
    trimmed = ids[:, : int((ids != 0).sum(1).max())]

    def work():
        with torch.inference_mode():
            net.encode_text(trimmed if kind == "trimmed" else clip.tokenize(queries, context_length=52))

    return lambda: rate_of(len(queries), work)


def lmdb_build():
    folder = os.path.join(FOLDER, "split")
    target = os.path.join(folder, "lmdb-python")
    with open(os.path.join(folder, "train_texts.jsonl")) as file:
        images = sum(1 for _ in file)
    arguments = ["--data_dir", folder, "--splits", "train", "--lmdb_dir", target]

    def work():
        shutil.rmtree(target, ignore_errors=True)
        sys.argv = ["build_lmdb_dataset"] + arguments
        start = time.perf_counter()
        with open(os.devnull, "w") as quiet, contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            runpy.run_module("cn_clip.preprocess.build_lmdb_dataset", run_name="__main__")
        return images / (time.perf_counter() - start)

    return work


def decode_resize():
    import io

    from PIL import Image

    folder = os.path.join(FOLDER, "photos")
    photos = []
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            photos.append(file.read())

    def work():
        for photo in photos:
            Image.open(io.BytesIO(photo)).resize((224, 224), Image.BICUBIC).convert("RGB")

    return lambda: rate_of(len(photos), work)


MINI_MODEL = {  # ViT-mini-8-48 and RoBERTa-mini-chinese
    "embed_dim": 128, "image_resolution": 48, "vision_layers": 3, "vision_width": 128, "vision_patch_size": 8, "vision_head_width": 32,
    "vocab_size": 21128, "text_hidden_size": 128, "text_num_hidden_layers": 2, "text_num_attention_heads": 4, "text_intermediate_size": 512,
    "text_max_position_embeddings": 512, "text_type_vocab_size": 2, "text_hidden_act": "gelu", "text_hidden_dropout_prob": 0.1,
    "text_attention_probs_dropout_prob": 0.1, "text_initializer_range": 0.02,
}  # fmt: skip
DDP_PAIRS, DDP_STEPS, DDP_REPLICAS = 64, 5, 2


def ddp_step(rank, port):
    """One replica of torch's DDP over gloo, with one thread: features of all replicas in the loss, as the research code does it."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    import torch
    import torch.distributed as dist
    import cn_clip.clip as clip
    from cn_clip.clip.model import CLIP

    functional = torch.nn.functional
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dist.init_process_group("gloo", rank=rank, world_size=DDP_REPLICAS)
    net = torch.nn.parallel.DistributedDataParallel(CLIP(**MINI_MODEL))
    net.train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-5)
    batch = DDP_PAIRS // DDP_REPLICAS
    images, texts = torch.randn(batch, 3, 48, 48), clip.tokenize(QUERIES[:batch], context_length=24)

    def gathered(own):
        parts = [torch.zeros_like(own) for _ in range(DDP_REPLICAS)]
        dist.all_gather(parts, own)
        return torch.cat([own] + parts[:rank] + parts[rank + 1 :])

    def dsl(logits):
        weighted = logits * functional.softmax(logits / 1000, 0) * DDP_PAIRS
        return -torch.diag(functional.log_softmax(weighted, -1)).mean()

    def work():
        dist.barrier()
        start = time.perf_counter()
        for _ in range(DDP_STEPS):
            optimizer.zero_grad()
            image, text, scale = net(images, texts)
            logits = scale * gathered(image) @ gathered(text).t()
            (dsl(logits) + dsl(logits.t())).backward()
            optimizer.step()
        dist.barrier()
        return DDP_STEPS * DDP_PAIRS / (time.perf_counter() - start)

    return work


def ddp_follower(rank, port, orders):
    work = ddp_step(rank, port)
    while orders.recv():
        work()


def ddp():
    import multiprocessing
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    orders, theirs = multiprocessing.Pipe()
    follower = multiprocessing.get_context("spawn").Process(target=ddp_follower, args=(1, port, theirs), daemon=True)
    follower.start()
    own = ddp_step(0, port)

    def work():
        orders.send(True)
        return own()

    return work


def exact_search(at_a_time):
    import faiss
    import numpy

    faiss.omp_set_num_threads(THREADS)
    folder = os.path.join(FOLDER, "exact-search")
    gallery = numpy.load(os.path.join(folder, "gallery.npy"), mmap_mode="r")
    queries = numpy.load(os.path.join(folder, "queries.npy"))
    index = faiss.IndexFlatIP(gallery.shape[1])
    for start in range(0, len(gallery), 50000):
        index.add(numpy.ascontiguousarray(gallery[start : start + 50000]))
    del gallery
    following = [0]

    def search():
        first = following[0]
        following[0] = (first + at_a_time) % (len(queries) - at_a_time + 1)
        index.search(queries[first : first + at_a_time], 10)

    return lambda: rate_of(at_a_time, search)


SUBJECTS = {
    "train-step": train_step,
    "image-encode-batch": lambda: image_encode((1, 4, 8, 16, 32)),
    "image-encode-1": lambda: image_encode((1,)),
    "text-encode-real": lambda: text_encode("real"),
    "text-encode-trimmed": lambda: text_encode("trimmed"),
    "text-encode-1": lambda: text_encode("one"),
    "replicas-step": ddp,
    "lmdb-build": lmdb_build,
    "exact-search-1": lambda: exact_search(1),
    "exact-search-64": lambda: exact_search(64),
    "decode-resize": decode_resize,
}

if __name__ == "__main__":
    subject = None
    for line in sys.stdin:
        if line.strip() == "round":
            # Made at the first round: by then the other side has written the files that both read.
            subject = subject or SUBJECTS[sys.argv[1]]()
            print(json.dumps({"value": subject()}), flush=True)
    print(json.dumps({"peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}), flush=True)
