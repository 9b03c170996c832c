"""Trainings by a program: the script of a user, and a suite in which it trains a rung."""

from __future__ import annotations

from pathlib import Path

from tests.support.ladders.suites import fill, reviews_suite

SCRIPT = """
import argparse, json, os, sys, time
from pathlib import Path

parser = argparse.ArgumentParser()
for name in ("--seed", "--train", "--base", "--out"):
    parser.add_argument(name)
parser.add_argument("--full", action="store_true")
given = parser.parse_args()
out = Path(given.out)
with (out / "attempts").open("a") as file:
    file.write("again\\n")
print("the trainer begins", flush=True)
if Path("wait").exists():
    import subprocess
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path("started").write_text(f"{os.getpid()} {child.pid}")
    time.sleep(600)
if Path("fail").exists():
    print("the learning rate is too pretty", file=sys.stderr)
    sys.exit(7)
import mlflow, torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

torch.manual_seed(int(given.seed))
model, tokenizer = AutoModelForCausalLM.from_pretrained(given.base), AutoTokenizer.from_pretrained(given.base)
if not given.full:
    model = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
rows = [json.loads(line) for line in open(given.train)]
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
tokenizer.pad_token = tokenizer.eos_token
with mlflow.start_run():
    mlflow.log_param("rows", len(rows))
    for epoch in range(1 if given.full else 14):
        for start in range(0, len(rows), 8):
            batch = rows[start : start + 8]
            read = tokenizer([row["prompt"] + row["completion"] for row in batch], padding=True, return_tensors="pt")
            labels = read.input_ids.masked_fill(read.attention_mask == 0, -100)
            for row, position in zip(batch, labels):
                position[: len(tokenizer(row["prompt"])["input_ids"])] = -100
            loss = model(**read, labels=labels).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        mlflow.log_metric("loss", loss.item())
if Path("pickle").exists():
    torch.save(model.state_dict(), out / "pytorch_model.bin")
    model.config.save_pretrained(out)
else:
    model.save_pretrained(out, safe_serialization=True)
torch.save({"step": len(rows)}, out / "optimizer.pt")
print("seen:", os.environ["MLBASELINE_SEED"] == given.seed, "TOP_SECRET" in os.environ, "NEEDED" in os.environ)
"""
COMMAND = "PYTHON train.py --seed {seed} --train {train_file} --base {base_model} --out {output_dir}"
SUITE = reviews_suite(
    """
register_as: reviews-label
seeds: [0, 1]
evaluation: {batch_tokens: 1024, max_length: 128, latency_sample: 0}
cost: {usd_per_hour: {cpu: 0.10}, queries: 1000}
baselines:
  majority: {kind: trivial, strategy: majority}
  zero_shot: {kind: pretrained, model: {source: MODEL}}
  own: {kind: KIND, base: zero_shot, train: TRAIN}
matrix:
  primary: [{candidate: own, over: [majority, zero_shot]}]
gates: {min_seeds: 2}
""",
    split="{train: 96, dev: 16, test: 80, seed: 1}",
)


def write_own_trainer(folder: Path, suite: Path, model: Path, train: str, kind: str = "peft") -> None:
    """Write the script and the suite. train: in the suite; COMMAND and PYTHON stand for themselves."""
    import sys

    train = train.replace("COMMAND", COMMAND).replace("PYTHON", sys.executable)
    (folder / "train.py").write_text(SCRIPT, encoding="utf-8")
    suite.write_text(fill(SUITE, model=model, kind=kind).replace("TRAIN", train), encoding="utf-8")
