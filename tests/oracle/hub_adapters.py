"""graft's bottleneck adapters against AdapterHub's on tiny models, in fp32 on the CPU. For .deps/adapterhub/bin/python (adapterhub_setup.sh).

Usage: hub_adapters.py BUILD_FOLDER [--all | --only WORD]      without either: the three presets
Each case: (1) AdapterHub's folder of random values in graft, (2) 20 steps from it, (3) the folder that graft writes then in AdapterHub,
against graft's live adapter. Each on every family of hub_families.py.
"""
import itertools
import logging
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import adapters
import torch
from adapters import DoubleSeqBnConfig, ParBnConfig, SeqBnConfig
from safetensors.torch import save_file

from adapter_training import (LOGITS, check_apart, check_losses, graft_job, optimizer_for, parsed_options, randomise, relative_difference,
                              train_with_graft, train_with_torch)
from graft_program import graft_logits
from hub_families import FAMILIES
from reference import Summary, logits_of

METHODS = {"houlsby": DoubleSeqBnConfig, "pfeiffer": SeqBnConfig, "parallel": ParBnConfig}


@dataclass
class Case:
    name: str
    method: str
    options: dict = field(default_factory=dict)   # the same names on both sides, but for a learned scaling
    rate: float = 5e-3
    quick: bool = False

    def config(self):
        options = {key: value for key, value in self.options.items() if key != "learn_scaling"}
        return METHODS[self.method](**options, **({"scaling": "learned"} if self.options.get("learn_scaling") else {}))


CASES = [
    Case("houlsby", "houlsby", quick=True),
    Case("pfeiffer", "pfeiffer", quick=True),
    Case("parallel", "parallel", quick=True),
    Case("houlsby, tanh, new norms before", "houlsby", {"reduction_factor": 4, "non_linearity": "tanh", "ln_before": True}),
    # The gentler rate: behind 20 steps of 5e-3 AdapterHub's own logits are 1.6e-5 from float64's (graft's 4e-6).
    Case("houlsby, gelu, new norms before and after", "houlsby",
         {"reduction_factor": 5, "non_linearity": "gelu", "ln_before": True, "ln_after": True}, rate=1e-3),
    Case("pfeiffer, gelu_new, new norms after", "pfeiffer", {"reduction_factor": 3, "non_linearity": "gelu_new", "ln_after": True}),
    Case("pfeiffer, leakyrelu, wider than the model, scaled", "pfeiffer", {"reduction_factor": 0.5, "non_linearity": "leakyrelu", "scaling": 0.5}),
    Case("pfeiffer, narrower than one", "pfeiffer", {"reduction_factor": 64, "non_linearity": "silu"}),
    Case("parallel, learned scale", "parallel", {"learn_scaling": True}),
    Case("parallel, swish, new norms before", "parallel", {"non_linearity": "swish", "ln_before": True, "reduction_factor": 8}),
    Case("parallel, new norms after", "parallel", {"ln_after": True, "scaling": 2.0}),
]

def hub_model(family):
    torch.manual_seed(5)
    model = family.load()
    adapters.init(model)
    return model.eval()


def logits_from(model, family):
    """AdapterHub's classifiers know no cache."""
    if family.name == "llama":
        return logits_of(model, family.texts)
    with torch.no_grad():
        return [model(input_ids=torch.tensor([ids])).logits[0] for ids in family.texts]


def save(model, folder):
    """As AdapterHub does, but where it knows a tensor by two names (a norm before the bottleneck), which it can save in a .bin only."""
    shared = {key for key in model.state_dict() if ".adapters.task." in key and "norm_before" in key}
    model.save_adapter(str(folder), "task", use_safetensors=not shared)
    if shared:
        for old, new in (("pytorch_adapter.bin", "adapter.safetensors"), ("pytorch_model_head.bin", "model_head.safetensors")):
            save_file({key: value.clone() for key, value in torch.load(folder / old).items()}, folder / new, metadata={"format": "pt"})
            (folder / old).unlink()


def take(summary, name, model, folder):
    """Loads a folder; every key of both sides has to be met."""
    found = {}
    model.set_active_adapters(model.load_adapter(str(folder), loading_info=found, use_safetensors=True))
    faults = [key for kind in ("missing_keys", "unexpected_keys") for key in found.get(kind) or []]
    if faults:
        summary.line(f"{name}: AdapterHub takes every key", "; ".join(faults)[:200], "none left", False)
    return model.eval()


def check(summary, case, family, build, work):
    name, base, dump = f"{family.name}: {case.name}", family.folder, Path(build) / "tests" / "model_dump"
    work = Path(work) / name.replace(" ", "_").replace(",", "").replace(":", "")
    work.mkdir()
    model = hub_model(family)
    plain = logits_from(model, family)
    model.add_adapter("task", config=case.config())
    model.train_adapter("task")
    randomise(model)
    save(model.eval(), work / "hub")
    theirs = logits_from(model, family)
    effect = relative_difference(theirs, plain)
    if effect < 1000 * LOGITS:
        summary.line(f"{name}: changes the logits", effect, f">= {1000 * LOGITS:g}", False)
    ours = family.rows(graft_logits(dump, base, family.texts, work / "hub"))
    summary.line(f"{name}: AdapterHub's folder in graft, logits", relative_difference(ours, theirs), LOGITS)

    job = graft_job(base, {"method": case.method, **case.options, "init_from": str(work / "hub")}, family.data, work / "run", case.rate)
    job["model"].update(family.model_section)
    mine = train_with_graft(Path(build) / "graft", work, "job", job)
    check_losses(summary, name, mine, train_with_torch(model, optimizer_for(model, case.rate), family.loss(model)))
    loaded = logits_from(take(summary, name, hub_model(family), work / "run" / "adapter"), family)
    live = family.rows(graft_logits(dump, work / "run", family.texts))
    summary.line(f"{name}: graft's folder in AdapterHub, logits", relative_difference(loaded, live), LOGITS)


def main():
    options = parsed_options(__doc__)
    summary = Summary()
    with tempfile.TemporaryDirectory() as work:
        for family, case in itertools.product([row(work) for row in FAMILIES], CASES):
            name = f"{family.name}: {case.name}"
            if options.only in name if options.only else case.quick or options.all:
                check_apart(summary, name, lambda: check(summary, case, family, options.build, work))
    summary.exit()


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    main()
