"""graft's safetensors and GGUF readers and its safetensors writer against the PyPI packages safetensors and gguf.

    .deps/venv/bin/python tests/oracle/io_oracle.py [--dump build/dev/tests/io_dump] [--gguf FILE...]

Drives tests/oracle/io_dump.cpp (default: the newest under build/). A line a comparison: "name | figure | bound | holds"; exit 1 if one fails.
"""
import argparse, glob, json, os, random, struct, subprocess, sys, tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf.quants import dequantize
from safetensors import deserialize, safe_open
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]
failed = False


def report(name, figure, bound, holds):
    global failed
    failed |= not holds
    print(f"{name} | {figure} | {bound} | {'holds' if holds else 'fails'}", flush=True)


class Dump:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder

    def run(self, verb, path):
        """(lines, bytes), or None and graft's error."""
        out = self.folder / "dump.bin"
        done = subprocess.run([str(self.program), verb, str(path), str(out)], capture_output=True, text=True)
        if done.returncode == 1:
            return None, done.stderr
        if done.returncode != 0:
            sys.exit(f"io_oracle: io_dump {verb} {path}: exit {done.returncode}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.split("\n")[:-1]], out.read_bytes()


def differing(ours, theirs):
    """Values that are not the same bits; a NaN equals a NaN."""
    nan = np.isnan(ours) & np.isnan(theirs)
    return int(np.count_nonzero((ours.view(np.uint32) != theirs.view(np.uint32)) & ~nan))


def shaped_bytes(name, rng):
    """Random bytes (scales of every kind: subnormal, infinite, NaN) for 64 rows of 2 blocks; every pattern of a 16-bit type."""
    block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    if name in ("F16", "BF16"):
        return np.arange(65536, dtype=np.uint16).view(np.uint8).reshape(64, 2048)
    return rng.integers(0, 256, (64, 2 * size * (32 if block == 1 else 1)), dtype=np.uint8)


def compare_dequantize(dump, folder):
    rng = np.random.default_rng(0)
    path = folder / "types.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    blocks = {name: shaped_bytes(name, rng) for name in TYPES}
    for name, data in blocks.items():
        writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType[name])
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()
    lines, values = dump.run("gguf", path)
    values, at = np.frombuffer(values, np.float32), 0
    for line in (line for line in lines if "tensor" in line):
        name = line["tensor"]
        with np.errstate(all="ignore"):
            theirs = dequantize(blocks[name], gguf.GGMLQuantizationType[name]).astype(np.float32).reshape(-1)
        ours = values[at:at + theirs.size]
        at += theirs.size
        wrong = differing(ours, theirs) if ours.size == theirs.size else theirs.size
        report(f"dequantize {name}, random bytes", f"{wrong} of {theirs.size} differ", "0", wrong == 0 and line["type"] == name)


def same(ours, theirs):
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(same(a, b) for a, b in zip(ours, theirs))
    if isinstance(theirs, float):
        return ours == theirs or (ours != ours and theirs != theirs)
    return ours == theirs


def compare_keys(dump, folder):
    path = folder / "keys.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_uint8("a.u8", 255), writer.add_int8("a.i8", -128), writer.add_uint16("a.u16", 65535), writer.add_int16("a.i16", -32768)
    writer.add_uint32("a.u32", 2**32 - 1), writer.add_int32("a.i32", -2**31), writer.add_uint64("a.u64", 2**64 - 1)
    writer.add_int64("a.i64", -2**63), writer.add_float32("a.f32", 0.1), writer.add_float64("a.f64", 0.1)
    writer.add_bool("a.bool", True), writer.add_string("a.text", "\u0120caf\u00e9 \U0001f600")
    writer.add_array("a.texts", ["x", "", "\u4e2d"]), writer.add_array("a.ints", [1, -2]), writer.add_array("a.reals", [0.5, -1.5])
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()
    compare_file(dump, path, "GGUF keys of every type")


def compare_file(dump, path, name):
    """Every key and every value of every tensor that graft reads."""
    reader = gguf.GGUFReader(str(path))
    lines, values = dump.run("gguf", path)
    if lines is None:
        return report(name, f"refused: {values.strip()}", "read", False)
    ours = {line["key"]: line["value"] for line in lines if "key" in line}
    theirs = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    wrong_keys = [key for key in theirs.keys() | ours.keys() if key not in ours or key not in theirs or not same(ours[key], theirs[key])]
    values, at, wrong = np.frombuffer(values, np.float32), 0, 0
    shapes = {line["tensor"]: line["shape"] for line in lines if "tensor" in line}
    for tensor in reader.tensors:
        with np.errstate(all="ignore"):
            expected = dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(-1)
        mine = values[at:at + expected.size]
        at += expected.size
        wrong += differing(mine, expected) if mine.size == expected.size else expected.size
        wrong += shapes[tensor.name] != [int(dim) for dim in reversed(tensor.shape)]
    report(name, f"{len(wrong_keys)} of {len(theirs)} keys and {wrong} of {values.size} values differ", "0",
           not wrong_keys and wrong == 0 and at == values.size)


def random_tensors():
    torch.manual_seed(0)
    dtypes = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
              torch.bool, torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2]
    tensors = {}
    for i, dtype in enumerate(dtypes):
        for shape in [(), (3,), (2, 5), (0, 4)]:
            tensors[f"t.{i % 4}.{dtype}.{len(shape)}.{len(tensors)}"] = (torch.randn(shape) * 50).abs().to(dtype)
    tensors["n\u00e4me \"quoted\"\n"] = torch.arange(4)
    return tensors


def compare_safetensors(dump, folder):
    tensors, path, again = random_tensors(), folder / "theirs.safetensors", folder / "again.safetensors"
    save_file(tensors, path, metadata={"format": "pt"})
    lines, values = dump.run("safetensors", path)
    at, wrong = 0, 0
    for line in (line for line in lines if "tensor" in line):
        tensor = tensors[line["tensor"]]
        data = tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        wrong += values[at:at + len(data)] != data or line["shape"] != list(tensor.shape)
        at += len(data)
    wrong += at != len(values) or len(lines) != len(tensors) + 1
    report("safetensors read, 15 dtypes", f"{wrong} of {len(tensors)} tensors differ", "0", wrong == 0)
    _, bytes_again = dump.run("rewrite", path)
    report("safetensors written again", "equal bytes" if bytes_again == path.read_bytes() else "other bytes", "equal bytes",
           bytes_again == path.read_bytes())
    again.write_bytes(bytes_again)
    with safe_open(again, "pt") as file:
        wrong = sum(not torch.equal(file.get_tensor(name).view(-1).view(torch.uint8) if tensor.numel() else file.get_tensor(name),
                                    tensor.view(-1).view(torch.uint8) if tensor.numel() else tensor) for name, tensor in tensors.items())
        report("safetensors read by pip", f"{wrong} of {len(file.keys())} tensors differ", "0", wrong == 0 and set(file.keys()) == set(tensors))


# Stricter than the reference on purpose: what its README forbids, and what nobody writes.
STRICTER = {"given twice", "not a field of the format", "dtype 'F4'", "is null"}


def compare_rules(dump, folder):
    base = '{"a":{"dtype":"I16","shape":[2,2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}}'
    rng = random.Random(0)
    cases = [(base, 11), (base, 10), (base, 12), ("{}", 0), ("{}", 1), ("", 0), (base + "\0", 11), ("\ufeff" + base, 11), (" " + base + "\n", 11)]
    pieces = ['"', "{", "}", "[", "]", ",", ":", "0", "1", "9", "-", ".", "e", " ", "a", "I16", "F4", "8", "null", "true", "\\u0000", "\x01"]
    for _ in range(3000):   # small edits of a good header: some stay good
        text = base
        for _ in range(rng.randint(1, 2)):
            at = rng.randrange(len(text))
            text = text[:at] + rng.choice(pieces) + text[at + rng.randint(0, 3):]
        cases.append((text, 11))
    blob, accepted, wrong = folder / "rules.safetensors", 0, []
    for text, size in cases:
        header = text.encode()
        bytes_ = struct.pack("<Q", len(header)) + header + bytes(size)
        blob.write_bytes(bytes_)
        try:
            theirs = bool(deserialize(bytes_)) or True
        except Exception:
            theirs = False
        ours, error = dump.run("safetensors", blob)
        accepted += theirs
        if (ours is not None) != theirs and not (theirs and any(why in error for why in STRICTER)):
            wrong.append((text, theirs, error))
    for text, theirs, error in wrong[:5]:
        print(f"  pip {'reads' if theirs else 'refuses'}: {text!r}: {error!r}", file=sys.stderr)
    report("safetensors rules", f"{len(wrong)} of {len(cases)} headers judged otherwise ({accepted} good)", "0", not wrong and accepted > 3)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dump", type=Path, default=max((ROOT / "build").glob("*/tests/io_dump"), key=os.path.getmtime, default=None))
    parser.add_argument("--gguf", nargs="*", type=Path)
    options = parser.parse_args()
    if options.dump is None or not options.dump.exists():
        sys.exit("io_oracle: no io_dump: build graft's tests first (ninja io_dump), or name the program with --dump")
    files = options.gguf if options.gguf is not None else sorted(Path(p) for p in glob.glob(f"{ROOT}/.deps/models/*.gguf")) + [
        ROOT / f".deps/llama.cpp/models/ggml-vocab-{name}.gguf" for name in ("llama-bpe", "qwen2", "llama-spm", "gpt-2")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dump = Dump(options.dump.resolve(), folder)
        compare_dequantize(dump, folder)
        compare_keys(dump, folder)
        for path in files:
            if path.exists():
                compare_file(dump, path, path.name)
        compare_safetensors(dump, folder)
        compare_rules(dump, folder)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
