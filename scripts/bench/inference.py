"""One prediction at a time on one thread, against frozen TorchScript and keras.predict; and 20,110 windows of history on
two threads, against frozen TorchScript. The logits of all windows are compared with PyTorch's first."""

import json
import sys
import tempfile

from common import ROOT, alternate, bench_binary, emit, note, run, unavailable

PEERS = ROOT / "scripts" / "bench" / "peers"
CANDLES, CALLS = 5200, 3000


def main():
    model = bench_binary("model")
    torch = PEERS / "torch_model.py"
    with tempfile.TemporaryDirectory(prefix="aifx-bench.") as folder:
        run([model, "prepare", folder, CANDLES])
        try:
            check = json.loads(run([sys.executable, torch, "logits", folder]))
        except Exception as error:
            unavailable("inference", "PyTorch", error)
            return
        if not check["difference"] < 1e-5:
            raise SystemExit(f"error: the logits differ by up to {check['difference']}")
        checked = f"logits of {check['n']} windows within {check['difference']:.1e} of PyTorch"

        def ours():
            return json.loads(run([model, "single", CANDLES, CALLS]))

        def peer():
            return json.loads(run([sys.executable, torch, "single", folder, CALLS]))

        left, right = alternate(ours, peer)
        for figure, must in [("p50_ms", None), ("p99_ms", 1.1)]:
            emit(f"inference_single_{figure}", "ms", [a[figure] for a in left], [b[figure] for b in right],
                 "frozen TorchScript", must, None, "lower", 1, checked, goal_ms=0.75, stretch_ms=0.28)  # fmt: skip
        try:
            keras = json.loads(run([sys.executable, PEERS / "keras_model.py", "single", folder, 300]))
        except Exception as error:
            unavailable("inference_single_keras", "keras.predict", error)
        else:
            emit("inference_single_keras", "calls/s", [1e3 / a["p50_ms"] for a in left], [1e3 / keras["p50_ms"]] * len(left),
                 "keras.predict", 50, None, "higher", 1, "same sizes of network")  # fmt: skip
        left, right = alternate(
            lambda: max(json.loads(run([model, "history", CANDLES, 2]))["samples_per_s"]),
            lambda: max(json.loads(run([sys.executable, torch, "history", folder, 2, 2]))["samples_per_s"]),
        )
        emit("inference_history", "samples/s", left, right, "frozen TorchScript", 1.2, None, "higher", 2, checked)
    note("inference: softmax is inside the clock of a single prediction on both sides")


if __name__ == "__main__":
    sys.exit(main())
