#!/usr/bin/env python3
"""What may be left of a run after a power loss, and whether the last complete checkpoint is found in it.

  replay_writes.py RECORD ROOT RUN GRAFT [--replays N] [--resume-each N] [--expect ADAPTER] [--without-file-syncs]

RECORD is what record_writes.c wrote down of a run in RUN, a folder below ROOT. At a cut between two of its operations, what was synced is there;
of the rest (contents of files without a sync of the file, names without a sync of their folder) any part may be, in any order: all of it, none,
names without contents, contents of zeros, or by chance. GRAFT must then name the last checkpoint whose folder had been synced, or a later one,
undamaged; each --resume-each'th replay also resumes the run to its end, whose adapter must be that of the undisturbed run.
--without-file-syncs takes files' syncs for nothing: replays must then fail, which shows that they can.
"""
import argparse, pathlib, random, re, shutil, subprocess, sys, tempfile


class Folder:
    def __init__(self):
        self.durable, self.now, self.pending = {}, {}, []   # name -> node; pending: functions of a dict

    def change(self, operation):
        operation(self.now)
        self.pending.append(operation)

    def sync(self):
        for operation in self.pending:
            operation(self.durable)
        self.pending = []


class File:
    def __init__(self):
        self.durable, self.pending = b"", []   # pending: (offset, bytes), or (length, None), which cuts

    def sync(self):
        self.durable, self.pending = content(self.durable, self.pending), []


def content(start, writes):
    data = bytearray(start)
    for offset, bytes_ in writes:
        if bytes_ is None:
            del data[offset:]
            continue
        if len(data) < offset:
            data.extend(bytes(offset - len(data)))
        data[offset:offset + len(bytes_)] = bytes_
    return bytes(data)


def records(path):
    with open(path, "rb") as file:
        while line := file.readline():
            verb, length, offset, name = line.decode().rstrip("\n").split(" ", 3)
            yield verb, name, int(offset), file.read(int(length))


class Disk:
    def __init__(self, root):
        self.root, self.top, self.saved = root, Folder(), {}   # saved: step -> False renamed, True synced

    def parent(self, path):
        folder = self.top
        parts = pathlib.PurePath(path).relative_to(self.root).parts
        for part in parts[:-1]:
            folder = folder.now[part]
        return folder, parts[-1] if parts else None

    def node(self, path):
        folder, name = self.parent(path)
        return folder if name is None else folder.now[name]

    def apply(self, verb, path, offset, data):
        if verb == "sync":
            self.node(path).sync()
            if path.endswith("/checkpoints"):
                self.saved = {step: True for step in self.saved}
            return
        folder, name = self.parent(path)
        if verb == "write":
            return folder.now[name].pending.append((offset, data))
        if verb in ("mkdir", "open", "truncate"):
            if name not in folder.now:
                node = Folder() if verb == "mkdir" else File()
                folder.change(lambda names: names.__setitem__(name, node))
            elif verb == "truncate":
                folder.now[name].pending.append((offset, None))
        elif verb == "remove":
            folder.change(lambda names: names.pop(name, None))
        elif verb == "rename":
            node, (target, new) = folder.now[name], self.parent(data.decode())
            assert target is folder, "a rename between folders"
            def move(names):
                names.pop(name, None)
                names[new] = node
            folder.change(move)
            if match := re.fullmatch(r"step-(\d+)", new):
                self.saved[int(match[1])] = False

    def leave(self, folder, into, mode, chance):
        """Makes what is left of a folder on the real disk."""
        names, pending = dict(folder.durable), list(folder.pending)
        if mode == "chance":
            pending = [operation for operation in pending if chance.random() < 0.5]
            chance.shuffle(pending)
        for operation in [] if mode == "nothing" else pending:
            operation(names)
        for name, node in names.items():
            if isinstance(node, Folder):
                (into / name).mkdir()
                self.leave(node, into / name, mode, chance)
                continue
            writes = node.pending
            if mode in ("nothing", "names"):
                writes = []
            if mode == "zeros":
                writes = [(offset, data and bytes(len(data))) for offset, data in writes]
            if mode == "chance":
                writes = [(offset, data and data[:chance.randint(0, len(data))]) for offset, data in writes if chance.random() < 0.7]
            (into / name).write_bytes(content(node.durable, writes))


def fault_of(graft, run, least, args, resume):
    """"" or what is wrong with what graft makes of the run."""
    if least == 0:
        return ""
    seen = subprocess.run([graft, "inspect", run], capture_output=True, text=True)
    steps = [int(step) for step in re.findall(r"^  step (\d+): epoch", seen.stdout, re.M)]
    if max(steps, default=0) < least:
        return f"step {least} was synced, found: {steps or seen.stderr.strip()}"
    if not resume:
        return ""
    again = subprocess.run([graft, "resume", run, "--quiet"], capture_output=True, text=True)
    adapter = pathlib.Path(run, "adapter/adapter_model.safetensors")
    if again.returncode or not adapter.exists() or adapter.read_bytes() != pathlib.Path(args.expect).read_bytes():
        return f"resume: exit {again.returncode}, {again.stderr.strip()[-300:] or 'another adapter'}"
    return ""


def main():
    parser = argparse.ArgumentParser()
    for name in ("record", "root", "run", "graft"):
        parser.add_argument(name)
    parser.add_argument("--replays", type=int, default=400)
    parser.add_argument("--resume-each", type=int, default=10)
    parser.add_argument("--expect")
    parser.add_argument("--without-file-syncs", action="store_true")
    args = parser.parse_args()
    operations = list(records(args.record))
    modes = ["all", "nothing", "names", "zeros", "chance", "chance", "chance"]
    chance = random.Random(1)
    cuts = sorted(chance.choices(range(1, len(operations) + 1), k=args.replays))
    disk, at, faults, judged, resumed = Disk(args.root), 0, [], 0, 0
    for number, cut in enumerate(cuts):
        while at < cut:
            verb, path = operations[at][:2]
            if not (args.without_file_syncs and verb == "sync" and isinstance(disk.node(path), File)):
                disk.apply(*operations[at])
            at += 1
        mode = modes[number % len(modes)]
        least = max((step for step, durable in disk.saved.items() if durable), default=0)
        with tempfile.TemporaryDirectory() as folder:
            disk.leave(disk.top, pathlib.Path(folder), mode, chance)
            resume = bool(args.expect) and judged % args.resume_each == 0 and least > 0
            fault = fault_of(args.graft, str(pathlib.Path(folder, pathlib.PurePath(args.run).relative_to(args.root))), least, args, resume)
        judged += least > 0
        resumed += resume
        if fault:
            faults.append(f"cut {cut} ({' '.join(operations[cut - 1][:2])}), {mode}: {fault}")
    for fault in faults[:10]:
        print(fault, file=sys.stderr)
    print(f"{len(cuts) - len(faults)} of {len(cuts)} replays of {len(operations)} operations, {resumed} resumed to the end")
    return bool(faults)


sys.exit(main())
