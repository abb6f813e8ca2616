"""graft's methods against PEFT's on tiny models, in fp32 on the CPU.

Usage: peft_adapters.py BUILD_FOLDER [--all | --only WORD]      without either: a small selection
Each case: (1) PEFT's folder of random values in graft, (2) 20 steps from the same first values, (3) the folder that graft writes then in
PEFT, against graft's live adapter. adapter_cases.py lists the cases, adapter_training.py says what a step is.
"""
import shutil
import tempfile
import warnings
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from adapter_cases import CASES, SHAPE, each_its_own, from_folder
from adapter_training import (DECAY, LOGITS, check_apart, check_losses, graft_job, optimizer_for, parsed_options, randomise, relative_difference, token_loss,
                              train_with_graft, train_with_torch, write_data)
from graft_program import first_values, graft_logits
from peft_training import MODEL
from reference import Summary, load_model, logits_of
from texts import fixed_ids


def make_untied(folder):
    """A model with biases and a head of its own, whose rows are whole blocks of 64, behind tiny_chat's tokenizer."""
    torch.manual_seed(11)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=320, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                                         num_key_value_heads=2, head_dim=16, max_position_embeddings=256, tie_word_embeddings=False,
                                         attention_bias=True, mlp_bias=True, initializer_range=0.1, bos_token_id=None, eos_token_id=2, pad_token_id=0))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.1)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(MODEL / name, folder)
    return folder


class CudaIsCpu(torch.overrides.TorchFunctionMode):
    """PEFT's LoftQ works on "cuda", whatever the model is on; here that is the CPU, where bitsandbytes can do nf4 as well."""

    def __torch_function__(self, function, types, arguments=(), named=None):
        turned = lambda x: "cpu" if isinstance(x, str) and x == "cuda" else x   # noqa: E731
        return function(*map(turned, arguments), **{key: turned(value) for key, value in (named or {}).items()})


def peft_model_of(case, base):
    torch.manual_seed(5)
    with CudaIsCpu():
        return get_peft_model(load_model(base), case.config())


def save_first(model, folder):
    """As PEFT's guide has it: what its conversion of PiSSA takes the first factors from."""
    config = model.peft_config["default"]
    kept, config.init_lora_weights = config.init_lora_weights, True
    model.save_pretrained(folder)
    config.init_lora_weights = kept


def logits_without_slots(model, texts):
    """Prompts stand in front of the tokens."""
    return [rows[-len(ids):] for rows, ids in zip(logits_of(model, texts), texts, strict=True)]


def load_in_peft(base, folder):
    """The model, and the warnings about keys that did not fit."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = PeftModel.from_pretrained(load_model(base), folder).eval()
    return model, [str(w.message).splitlines()[0] for w in caught if "keys" in str(w.message)]


class Comparison:
    def __init__(self, summary, build, work):
        self.summary, self.work = summary, Path(work)
        self.program, self.dump = Path(build) / "graft", Path(build) / "tests" / "model_dump"
        self.data = write_data(work)
        self.models = {"tied": MODEL, "untied": make_untied(self.work / "untied")}

    def from_peft(self, case, model, base, texts, folder):
        """(1) Random values, saved by PEFT, read by graft."""
        randomise(model)
        model.eval().save_pretrained(folder)
        theirs, plain = logits_without_slots(model, texts), logits_of(load_model(base), texts)
        effect = relative_difference(theirs, plain)
        if effect < 1000 * LOGITS:
            self.summary.line(f"{case.name}: changes the logits", effect, f">= {1000 * LOGITS:g}", False)
        self.summary.line(f"{case.name}: PEFT's folder in graft, logits", relative_difference(graft_logits(self.dump, base, texts, folder), theirs),
                          LOGITS)

    def job(self, case, base, run, steps, init_from=None):
        adapter = {**case.adapter, **({"init_from": str(init_from)} if init_from else {})}
        others = {"quantization": case.quantization} if case.quantization else {}
        return graft_job(base, adapter, self.data, run, case.rate, steps, **others)

    def check(self, case):
        base, name = self.models[case.model], case.name.replace(" ", "_").replace(",", "")
        texts, folder, run = fixed_ids(base), self.work / name / "peft", self.work / name / "run"
        folder.parent.mkdir()
        if case.trained:
            return self.check_without_peft(case, base, texts, run)
        model = peft_model_of(case, base)
        if case.start is not each_its_own:
            self.from_peft(case, model, base, texts, folder)
        if case.start not in (from_folder, each_its_own):
            train_with_graft(self.program, folder.parent, "first", self.job(case, base, run, 1))
            case.start(model, first_values(run))
        if case.converts:
            save_first(model, folder.parent / "first")
        optimizer = optimizer_for(model, case.rate) if case.lora_plus == 1 else create_loraplus_optimizer(
            model, torch.optim.AdamW, lr=case.rate, loraplus_lr_ratio=case.lora_plus, loraplus_weight_decay=DECAY)
        mine = train_with_graft(self.program, folder.parent, "job", self.job(case, base, run, 20, folder if case.start is from_folder else None))
        check_losses(self.summary, case.name, mine, train_with_torch(model, optimizer, token_loss(lambda ids: model(input_ids=ids).logits)))
        if case.converts:
            model.save_pretrained(folder, path_initial_model_for_weight_conversion=folder.parent / "first")
            self.summary.line(f"{case.name}: PEFT's folder, converted to LoRA, in graft, logits",
                              relative_difference(graft_logits(self.dump, base, texts, folder), logits_of(model, texts)), LOGITS)
        self.to_peft(case, model, base, texts, run)

    def check_without_peft(self, case, base, texts, run):
        """Training the base itself, against transformers alone."""
        model = load_model(base)
        for name, parameter in model.named_parameters():
            parameter.requires_grad = case.trained(name)
        mine = train_with_graft(self.program, run.parent, "job", self.job(case, base, run, 20))
        check_losses(self.summary, case.name, mine, train_with_torch(model, optimizer_for(model, case.rate), token_loss(lambda ids: model(input_ids=ids).logits)))
        self.summary.line(f"{case.name}: trained model, logits", relative_difference(graft_logits(self.dump, run, texts), logits_of(model, texts)), 1e-4)

    def check_new_tokens(self):
        """A vocabulary that grew: PEFT's folder (with its tokenizer) in graft, and graft's in PEFT, the base resized as PEFT's guide has it."""
        name, new, folder, run = "lora with new tokens", ["<tool>", "</tool>"], self.work / "new_tokens" / "peft", self.work / "new_tokens" / "run"
        tokenizer = AutoTokenizer.from_pretrained(MODEL)
        tokenizer.add_tokens(new)
        ids = tokenizer.convert_tokens_to_ids(new)
        texts = [[*ids_before, *ids, 7, ids[0]] for ids_before in fixed_ids(MODEL)]

        def grown():
            model = load_model(MODEL)
            model.resize_token_embeddings(len(tokenizer))
            return model
        model = get_peft_model(grown(), LoraConfig(r=4, target_modules=["q_proj"], trainable_token_indices=ids, **SHAPE))
        randomise(model)
        model.eval().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        self.summary.line(f"{name}: PEFT's folder in graft, logits", relative_difference(graft_logits(self.dump, MODEL, texts, folder), logits_of(model, texts)),
                          LOGITS)
        job = graft_job(MODEL, {"method": "lora", "rank": 4}, self.data, run, 2e-2, 5)
        job["model"]["new_tokens"] = new
        train_with_graft(self.program, folder.parent, "job", job)
        theirs = PeftModel.from_pretrained(grown(), run / "adapter").eval()
        self.summary.line(f"{name}: graft's folder in PEFT, logits", relative_difference(logits_of(theirs, texts), graft_logits(self.dump, run, texts)), LOGITS)
        same = AutoTokenizer.from_pretrained(run / "adapter").convert_tokens_to_ids(new) == ids
        self.summary.line(f"{name}: graft's tokenizer in transformers has the tokens", "yes" if same else "no", "the same ids", same)

    def to_peft(self, case, trained, base, texts, run):
        """(3) What graft trained and wrote, read by PEFT."""
        live = graft_logits(self.dump, run, texts)
        if case.quantization:   # PEFT's base holds what nf4 kept of the weights
            trained.load_adapter(run / "adapter", "graft")
            trained.set_adapter("graft")
            loaded, faults = trained.eval(), []
        else:
            loaded, faults = load_in_peft(base, run / "adapter")
        self.summary.line(f"{case.name}: graft's folder in PEFT, logits", relative_difference(logits_without_slots(loaded, texts), live), LOGITS)
        if faults:
            self.summary.line(f"{case.name}: PEFT takes every key", "; ".join(faults), "no warning", False)


def main():
    options = parsed_options(__doc__)
    summary = Summary()
    with tempfile.TemporaryDirectory() as work:
        comparison = Comparison(summary, options.build, work)
        for case in CASES:
            if options.only in case.name if options.only else case.quick or options.all:
                check_apart(summary, case.name, lambda: comparison.check(case))
        if options.all or options.only in ("", "new tokens"):
            check_apart(summary, "lora with new tokens", comparison.check_new_tokens)
    summary.exit()


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    main()
