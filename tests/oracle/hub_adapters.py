"""graft's bottleneck adapters against AdapterHub's on tiny models, in fp32 on the CPU. For .deps/adapterhub/bin/python (adapterhub_setup.sh).

Usage: hub_adapters.py BUILD_FOLDER [--all | --only WORD]      without either: the three presets on llama
Each case: (1) AdapterHub's folder of random values in graft, (2) 20 steps from it, (3) the folder that graft writes then in AdapterHub,
against graft's live adapter. A family is a row of FAMILIES: its folder, and how AdapterHub loads it.
"""
import argparse
import logging
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import adapters
import torch
from adapters import DoubleSeqBnConfig, ParBnConfig, SeqBnConfig
from safetensors.torch import save_file

from adapter_training import (LOGITS, MODEL, check_losses, graft_job, optimizer_for, randomise, relative_difference, train_with_graft,
                              train_with_torch, write_data)
from graft_program import graft_logits
from reference import Summary, load_model, logits_of
from texts import fixed_ids

FAMILIES = {"llama": (MODEL, load_model)}
METHODS = {"houlsby": DoubleSeqBnConfig, "pfeiffer": SeqBnConfig, "parallel": ParBnConfig}


@dataclass
class Case:
    name: str
    method: str
    options: dict = field(default_factory=dict)   # the same names on both sides, but for a learned scaling
    family: str = "llama"
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

def hub_model(case):
    torch.manual_seed(5)
    folder, load = FAMILIES[case.family]
    model = load(folder)
    adapters.init(model)
    return model


def save(model, folder):
    """As AdapterHub does, but where it knows a tensor by two names (a norm before the bottleneck), which it can save in a .bin only."""
    shared = {key for key in model.state_dict() if ".adapters.task." in key and "norm_before" in key}
    model.save_adapter(str(folder), "task", use_safetensors=not shared)
    if shared:
        for old, new in (("pytorch_adapter.bin", "adapter.safetensors"), ("pytorch_model_head.bin", "model_head.safetensors")):
            save_file({key: value.clone() for key, value in torch.load(folder / old).items()}, folder / new, metadata={"format": "pt"})
            (folder / old).unlink()


def take(summary, case, model, folder):
    """Loads a folder; every key of both sides has to be met."""
    found = {}
    model.set_active_adapters(model.load_adapter(str(folder), loading_info=found, use_safetensors=True))
    faults = [key for kind in ("missing_keys", "unexpected_keys") for key in found.get(kind) or []]
    if faults:
        summary.line(f"{case.name}: AdapterHub takes every key", "; ".join(faults)[:200], "none left", False)
    return model.eval()


def check(summary, case, build, work):
    base, _ = FAMILIES[case.family]
    texts, work = fixed_ids(base), Path(work) / case.name.replace(" ", "_").replace(",", "")
    work.mkdir()
    model = hub_model(case)
    plain = logits_of(model.eval(), texts)
    model.add_adapter("task", config=case.config())
    model.train_adapter("task")
    randomise(model)
    save(model.eval(), work / "hub")
    theirs = logits_of(model, texts)
    effect = relative_difference(theirs, plain)
    if effect < 1000 * LOGITS:
        summary.line(f"{case.name}: changes the logits", effect, f">= {1000 * LOGITS:g}", False)
    dump = Path(build) / "tests" / "model_dump"
    summary.line(f"{case.name}: AdapterHub's folder in graft, logits", relative_difference(graft_logits(dump, base, texts, work / "hub"), theirs), LOGITS)

    section = {"method": case.method, **case.options, "init_from": str(work / "hub")}
    job = graft_job(base, section, write_data(work), work / "run", case.rate)
    mine = train_with_graft(Path(build) / "graft", work, "job", job)
    check_losses(summary, case.name, mine, train_with_torch(model, optimizer_for(model, case.rate), lambda ids: model(input_ids=ids, use_cache=False).logits))
    loaded = take(summary, case, hub_model(case), work / "run" / "adapter")
    summary.line(f"{case.name}: graft's folder in AdapterHub, logits", relative_difference(logits_of(loaded, texts), graft_logits(dump, work / "run", texts)),
                 LOGITS)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    summary = Summary()
    with tempfile.TemporaryDirectory() as work:
        for case in CASES:
            if options.only in case.name if options.only else case.quick or options.all:
                try:
                    check(summary, case, options.build, work)
                except (Exception, SystemExit) as fault:   # the other cases are worth knowing too
                    summary.line(case.name, str(fault).strip().replace("\n", " ")[-400:] or type(fault).__name__, "runs", False)
    summary.exit()


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    main()
