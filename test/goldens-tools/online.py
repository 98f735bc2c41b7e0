"""Makes test/goldens/online with the reference stack: python test/goldens-tools/online.py

Needs torch, safetensors, pillow, torchvision, six and cn_clip 1.6 (installed with --no-deps). Test-time online learning as
the research code does it: batches of queries in the order of their file, image (epoch % 5) + 1 of each query, the dual
softmax loss, LAMB with the arithmetic of apex' FusedLAMB, the logit scale clamped after each step, features of the texts
taken right after their batch's last step. Dropout 0, fp32 on CPU.
"""

import json
import math
import pathlib

import numpy
import torch
from cn_clip.clip.model import CLIP
from cn_clip.clip import tokenize
from PIL import Image
from safetensors.torch import save_file
from torchvision.transforms import Compose, InterpolationMode, Normalize, Resize, ToTensor

GOLDENS = pathlib.Path(__file__).parent.parent / "goldens"
TARGET = GOLDENS / "online"
MODEL = GOLDENS / "model" / "vit"

# Characters whose ids are below the golden model's vocabulary of 800.
QUERIES = ["一七 三", "上下不", "中主·书", "买了云", "五人今"]
IMAGES_PER_QUERY = 5
RUN = {
    "max_epochs": 2, "batch_size": 3, "images_per_query": IMAGES_PER_QUERY, "context_length": 12,
    "lr": 1e-3, "warmup": 2, "betas": [0.9, 0.98], "eps": 1e-6, "weight_decay": 0.01, "max_grad_norm": 1.0,
}


def read_model():
    vision = json.loads((MODEL / "vision_model_config.json").read_text())
    text = json.loads((MODEL / "text_model_config.json").read_text())
    model = CLIP(**vision, **text)
    state = torch.load(MODEL / "checkpoint.pt", map_location="cpu", weights_only=True)["state_dict"]
    state = {name.removeprefix("module."): value for name, value in state.items() if "bert.pooler" not in name}
    model.load_state_dict(state)
    return model.float(), vision, text


def write_images(resolution):
    """The research code's cache. The picture has the model's size, so that nothing hangs on resampling."""
    random = numpy.random.default_rng(7)
    for query in QUERIES:
        folder = TARGET / "cache" / "test" / query.replace(" ", "").replace("·", "")
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, RUN["max_epochs"] + 1):
            pixels = random.integers(0, 256, (resolution, resolution, 3), dtype=numpy.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.jpg", format="PNG")


def dual_softmax_loss(logits):
    weighted = logits * torch.softmax(logits / 1000, dim=0) * len(logits)
    return -torch.diag(torch.log_softmax(weighted, dim=-1)).mean()


def learning_rate(step, total):
    if step < RUN["warmup"]:
        return RUN["lr"] * (step + 1) / RUN["warmup"]
    return 0.5 * (1 + math.cos(math.pi * (step - RUN["warmup"]) / (total - RUN["warmup"]))) * RUN["lr"]


class Lamb:
    def __init__(self, parameters):
        self.parameters = parameters
        self.moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in parameters.items()}
        self.steps = 0

    @torch.no_grad()
    def step(self, rate):
        self.steps += 1
        (beta1, beta2), decayed = RUN["betas"], RUN["weight_decay"]
        norm = torch.sqrt(sum((p.grad.double() ** 2).sum() for p in self.parameters.values())).item()
        scale = 1 if norm <= RUN["max_grad_norm"] else RUN["max_grad_norm"] / norm
        for name, p in self.parameters.items():
            m, v = self.moments[name]
            g = p.grad * scale
            m.mul_(beta1).add_(g, alpha=1 - beta1)
            v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
            update = (m / (1 - beta1**self.steps)) / ((v / (1 - beta2**self.steps)).sqrt() + RUN["eps"])
            decay = 0 if any(part in name for part in ("bn", "ln", "bias", "logit_scale")) else decayed
            update = update + decay * p
            ratio = 1.0
            if decay != 0 and p.norm() > 0 and update.norm() > 0:
                ratio = (p.norm() / update.norm()).item()
            p.sub_(rate * ratio * update)


def main():
    torch.manual_seed(0)
    model, vision, text = read_model()
    resolution = vision["image_resolution"]
    write_images(resolution)
    transform = Compose([
        Resize((resolution, resolution), interpolation=InterpolationMode.BICUBIC),
        lambda image: image.convert("RGB"),
        ToTensor(),
        Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    ])
    lines = [{"text_id": 100 + i, "text": query, "image_ids": []} for i, query in enumerate(QUERIES)]
    (TARGET / "test_texts.jsonl").write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    lamb = Lamb({name: p for name, p in model.named_parameters() if "bert.pooler" not in name})
    starts = range(0, len(QUERIES), RUN["batch_size"])
    total = len(starts) * RUN["max_epochs"]
    log, features, step = [], [], 0
    for epoch in range(RUN["max_epochs"]):
        number = epoch % IMAGES_PER_QUERY + 1
        for start in starts:
            queries = QUERIES[start : start + RUN["batch_size"]]
            files = [TARGET / "cache/test" / q.replace(" ", "").replace("·", "") / f"{number}.jpg" for q in queries]
            images = torch.stack([transform(Image.open(file)) for file in files])
            ids = tokenize(queries, context_length=RUN["context_length"])
            assert ids.max() < text["vocab_size"]
            rate = learning_rate(step, total)
            model.train()
            model.zero_grad()
            image_features, text_features, logit_scale = model(images, ids)
            logits = logit_scale * image_features @ text_features.t()
            loss = dual_softmax_loss(logits) + dual_softmax_loss(logits.t())
            loss.backward()
            lamb.step(rate)
            with torch.no_grad():
                model.logit_scale.clamp_(0, 4.6052)
            log.append({"step": step, "lr": rate, "loss": loss.item(), "logit_scale": model.logit_scale.item()})
            step += 1
            if epoch == RUN["max_epochs"] - 1:
                model.eval()
                with torch.no_grad():
                    encoded = model.encode_text(ids)
                    features.append(encoded / encoded.norm(dim=-1, keepdim=True))
    save_file({n: p.detach().contiguous() for n, p in lamb.parameters.items()}, TARGET / "final.safetensors")
    save_file({"text_features": torch.cat(features)}, TARGET / "features.safetensors")
    (TARGET / "run.json").write_text(json.dumps({**RUN, "vision": vision, "text": text, "log": log}, indent=1) + "\n")
    print(*log, sep="\n")


main()
