"""Bar 2: graft's logits and greedy tokens against transformers on the same weights, in fp32 on the CPU.

Usage: compare_model.py GRAFT_PROGRAM MODEL...      MODEL: a .gguf file (llama) or a Hugging Face folder
The largest difference of logits allowed is 5e-4 for a .gguf file, 1e-5 for a folder.
"""
import sys
from pathlib import Path

import torch

from graft_program import graft_greedy, graft_logits
from reference import Summary, largest_difference, load_model, logits_of, root_mean_square, to_float64
from texts import fixed_ids

NEW_TOKENS = 64


def greedy(model, prompt, end, count=NEW_TOKENS):
    """New tokens, and the smallest lead that a chosen token had over the next best."""
    ids, cache, tokens, lead = torch.tensor([prompt]), None, [], float("inf")
    with torch.no_grad():
        while len(tokens) < count:
            out = model(input_ids=ids, past_key_values=cache, use_cache=True)
            best = out.logits[0, -1].topk(2)
            lead = min(lead, float(best.values[0] - best.values[1]))
            tokens.append(int(best.indices[0]))
            if tokens[-1] in end:
                break
            ids, cache = torch.tensor([[tokens[-1]]]), out.past_key_values
    return tokens, lead


def end_tokens(model):
    end = model.generation_config.eos_token_id if model.generation_config.eos_token_id is not None else model.config.eos_token_id
    return set(end if isinstance(end, list) else [] if end is None else [end])


def without(tokens, end):
    """Up to the end of text: whether that token itself is given back is each program's business."""
    return tokens[:-1] if tokens and tokens[-1] in end else tokens


def compare(summary, program, path):
    model, bound = load_model(path), 5e-4 if path.endswith(".gguf") else 1e-5
    name, texts = Path(path).name, fixed_ids(path)
    theirs, ours = logits_of(model, texts), graft_logits(program, path, texts)
    summary.line(f"{name}: logits of {len(texts)} texts, graft against transformers", largest_difference(ours, theirs), bound)

    prompts = [ids[:max(4, len(ids) // 2)] for ids in texts]
    end = end_tokens(model)
    references = [greedy(model, prompt, end) for prompt in prompts]
    made = graft_greedy(program, path, prompts, NEW_TOKENS)
    equal = sum(without(mine, end) == without(tokens, end) for mine, (tokens, _) in zip(made, references, strict=True))
    lead = min(lead for _, lead in references)
    summary.line(f"{name}: greedy texts of up to {NEW_TOKENS} tokens equal (smallest lead of a token {lead:.1e})", equal,
                 len(prompts), equal == len(prompts))

    truth = logits_of(to_float64(model), texts)
    for kind, error in (("largest", largest_difference), ("root mean square", root_mean_square)):
        mine, other = error(ours, truth), error(theirs, truth)
        summary.line(f"{name}: {kind} error against float64, {mine:.2e}, over transformers' own, {other:.2e}", mine / other, 1.5)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    torch.set_num_threads(2)
    summary = Summary()
    for path in sys.argv[2:]:
        compare(summary, sys.argv[1], path)
    summary.exit()
