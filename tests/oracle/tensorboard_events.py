"""graft's event files under TensorBoard's own reader: a run, a kill in the middle of a record, and a resume from an earlier checkpoint.
usage: tensorboard_events.py GRAFT"""
import contextlib
import json
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile
import types

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

GOLDEN = pathlib.Path("tests/golden/tiny_chat")
TAGS = {"train/loss": "loss", "train/learning_rate": "learning_rate", "train/grad_norm": "gradient_norm", "train/epoch": "epoch",
        "eval/loss": "eval_loss", "eval/perplexity": "perplexity", "eval/token_accuracy": "token_accuracy", "eval/accuracy": "accuracy"}


def graft(*arguments):
    subprocess.run([sys.argv[1], *map(str, arguments)], check=True, capture_output=True)


def expected(run):
    """The numbers by tag and step, as metrics.jsonl has them."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").open()]
    numbers = {tag: {line["step"]: line[key] for line in lines if key in line} for tag, key in TAGS.items()}
    steps = [line for line in lines if "loss" in line]
    numbers["train/tokens_per_second"] = {line["step"]: line["tokens"] / line["seconds"] for line in steps}
    numbers["train/memory_gib"] = {line["step"]: line["memory"] / 2**30 for line in steps}
    numbers["train/skipped_steps"] = {line["step"]: 0 for line in steps}
    return numbers


def check(run, files):
    folder = run / "tensorboard"
    assert len(list(folder.iterdir())) == files
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    numbers = expected(run)
    assert sorted(events.Tags()["scalars"]) == sorted(numbers), events.Tags()["scalars"]
    for tag, by_step in numbers.items():
        got = [(event.step, event.value) for event in events.Scalars(tag)]
        assert [step for step, _ in got] == sorted(by_step), f"{tag}: steps {[step for step, _ in got]}"
        for step, value in got:
            assert math.isclose(value, by_step[step], rel_tol=1e-6), f"{tag} at {step}: {value}, expected {by_step[step]}"
    assert events.SummaryMetadata("job").plugin_data.plugin_name == "text"
    text = events.Tensors("job")[-1].tensor_proto.string_val[0].decode()
    assert "\n".join(line[4:] for line in text.splitlines()).strip() == (run / "job.yaml").read_text().strip()


def check_import_script(run):
    """docs/watching.md's script for MLflow, with a stand-in that writes down what it is told."""
    told = {}
    stand_in = types.SimpleNamespace(start_run=lambda run_name: contextlib.nullcontext(), log_artifact=lambda path: open(path).close(),
                                     log_metric=lambda tag, value, step: told.setdefault(tag, []).append(step))
    script = pathlib.Path("docs/watching.md").read_text().split("```python\n")[1].split("```")[0]
    sys.modules["mlflow"], sys.argv = stand_in, ["import.py", str(run)]
    exec(compile(script, "docs/watching.md", "exec"), {})
    assert told == {tag: sorted(by_step) for tag, by_step in expected(run).items()}


def main():
    work = pathlib.Path(tempfile.mkdtemp())
    run = work / "run"
    job = {"model": {"path": str(GOLDEN)}, "data": {"train": [str(GOLDEN / "data/train.jsonl")], "val": [str(GOLDEN / "data/val.jsonl")]},
           "train": {"max_steps": 10, "micro_batch_size": 4, "gradient_accumulation_steps": 1, "learning_rate": 5e-3, "dtype": "fp32"},
           "eval": {"every": 4}, "checkpoint": {"every": 4, "keep": 9}, "device": "cpu", "output_dir": str(run)}
    (work / "job.yaml").write_text(json.dumps(job))
    graft("finetune", work / "job.yaml")
    check(run, files=1)
    for step in (8, 10):   # as if it had been killed behind step 4, in the middle of a record
        shutil.rmtree(run / f"checkpoints/step-{step}")
    with next((run / "tensorboard").iterdir()).open("ab") as events:
        events.write(b"\x30\0\0\0\0\0\0\0\x12\x34")
    graft("resume", run, "train.max_steps=12")
    check(run, files=2)
    check_import_script(run)
    shutil.rmtree(work)
    print("tensorboard_events: every number once, at its step, in one session and in two")


if __name__ == "__main__":
    main()
