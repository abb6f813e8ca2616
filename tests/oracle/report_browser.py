"""The pages of graft report in a real browser (Debian's chromium, headless): hostile texts stay text, nothing is loaded or fails, curves are seen and
read off under the pointer, nothing is wider than the window, and dark is dark.
usage: report_browser.py GRAFT [FOLDER]     FOLDER: screenshots are left there, to be looked at"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
from urllib.parse import unquote

GOLDEN = pathlib.Path("tests/golden/tiny_chat")
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
DARK, LIGHT = "--blink-settings=preferredColorScheme=0", "--blink-settings=preferredColorScheme=1"
# Goes first into a copy of the page: hears what goes wrong, then tells what is there.
PROBE = """<script>
const faults = [], hear = text => faults.push(String(text));
window.alert = () => hear('a script from the data ran');
addEventListener('error', e => hear(e.message || 'a resource failed'), true);
addEventListener('securitypolicyviolation', e => hear('policy: ' + e.violatedDirective));
addEventListener('load', () => {
  const seen = [...document.querySelectorAll('.curves svg')].filter(s => s.getBoundingClientRect().width > 0);
  const svg = seen[0], box = svg.getBoundingClientRect();
  svg.dispatchEvent(new PointerEvent('pointermove', {clientX: box.left + box.width * 0.6, clientY: box.top + 50, bubbles: true}));
  const read = [...svg.closest('figure').querySelectorAll('.legend span')].map(s => s.textContent);
  svg.dispatchEvent(new PointerEvent('pointerleave'));
  const probe = {faults, read, after: svg.closest('figure').querySelector('.at').textContent, curves: seen.length,
    widths: seen.map(s => s.getBoundingClientRect().width), loaded: performance.getEntriesByType('resource').length,
    wide: document.documentElement.scrollWidth - innerWidth, images: document.images.length, scripts: document.scripts.length,
    paper: getComputedStyle(document.body).backgroundColor, text: document.body.innerText};
  document.documentElement.setAttribute('data-probe', encodeURIComponent(JSON.stringify(probe)));
});
</script>"""


def graft(*arguments):
    subprocess.run([sys.argv[1], *map(str, arguments)], check=True, capture_output=True)


def chromium(*arguments):
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def probe(page, width, scheme):
    copy = page.with_suffix(".probe.html")
    copy.write_text(page.read_text().replace("<head>", "<head>" + PROBE, 1))
    dom = chromium(scheme, f"--window-size={width},2000", "--virtual-time-budget=3000", "--dump-dom", copy.as_uri())
    found = re.search(r'data-probe="([^"]*)"', dom)
    assert found, f"{page}: the page's load event never came"
    return json.loads(unquote(found.group(1)))


def check(page, curves, says, legend):
    papers = set()
    for width in (1280, 500):
        for scheme in (LIGHT, DARK):
            got = probe(page, width, scheme)
            assert got["faults"] == [] and got["loaded"] == 0 and got["images"] == 0 and got["scripts"] == 2, got["faults"] or got
            assert got["curves"] == curves and min(got["widths"]) > 300, got["widths"]
            assert got["wide"] <= 0, f"{page}: {got['wide']} pixels wider than a window of {width}"
            for text in says:
                assert text in got["text"], f"{page}: does not say {text!r}"
            assert re.fullmatch(r"at step \d+", got["read"][-1]) and len(got["read"]) == legend + 1, got["read"]
            assert got["after"] == ""
            papers.add(got["paper"])
    assert len(papers) == 2, f"{page}: light and dark look alike: {papers}"
    return got["read"]


def run(work, name, steps, **train):
    folder = work / "x<"
    folder.mkdir(exist_ok=True)
    data = folder / "script><img src=x onerror=alert(3)>.jsonl"
    data.write_text((GOLDEN / "data/train.jsonl").read_text())
    (work / "prompts.txt").write_text(f"What is a cow?\nTell me: {HOSTILE}\n")
    job = {"model": {"path": str(GOLDEN)}, "data": {"train": [str(data)], "val": [str(GOLDEN / "data/val.jsonl")]},
           "train": {"max_steps": steps, "micro_batch_size": 4, "gradient_accumulation_steps": 1, "learning_rate": 5e-3, "dtype": "fp32", **train},
           "eval": {"every": 10, "prompts": str(work / "prompts.txt"), "max_new_tokens": 8}, "device": "cpu", "output_dir": str(work / name)}
    (work / "job.yaml").write_text(json.dumps(job))
    graft("finetune", work / "job.yaml")
    return work / name


def check_values(read, run):
    """What the pointer read off the loss is metrics.jsonl's, at that step."""
    step = int(read[-1].split()[-1])
    held_out = [json.loads(line) for line in (run / "metrics.jsonl").open() if "eval_loss" in line]
    nearest = min(held_out, key=lambda line: abs(line["step"] - step))["eval_loss"]
    assert abs(float(read[1].split()[-1]) - nearest) <= 5e-4 * nearest, (read, nearest)


def screenshots(folder, pages):
    folder.mkdir(parents=True, exist_ok=True)
    for page, name in pages:
        chromium(LIGHT, "--window-size=1280,3800", f"--screenshot={folder / name}_light.png", page.as_uri())
        chromium(DARK, "--window-size=1280,3800", f"--screenshot={folder / name}_dark.png", page.as_uri())
        chromium(LIGHT, "--window-size=500,5200", f"--screenshot={folder / name}_narrow.png", page.as_uri())
        chromium(LIGHT, "--no-pdf-header-footer", f"--print-to-pdf={folder / name}.pdf", page.as_uri())


def main():
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        first, second = run(work, "first", 60), run(work, "second", 40, seed=7)
        page, both = first / "report.html", work / "both.html"
        graft("report", first, second, "--out", both)
        read = check(page, 6, ["A fine-tuning run, finished", "Tell me: " + HOSTILE, "x</script><img src=x onerror=alert(3)>.jsonl", "before, step 0", "To run it again"], 2)
        check_values(read, first)
        check(both, 8, ["2 runs compared", "train.seed", HOSTILE], 2)
        if len(sys.argv) > 2:
            screenshots(pathlib.Path(sys.argv[2]).resolve(), [(page, "run"), (both, "comparison")])
    print("report_browser: two pages hold in light and dark, wide and narrow; hostile texts stayed text, nothing was loaded")


if __name__ == "__main__":
    main()
