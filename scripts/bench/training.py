"""Training the reference network on 20,110 windows at batch 32 and 256, against PyTorch (the same LibTorch release) and
Keras, with two threads on all sides; and the memory of a training, with what 10,000 more windows add."""

import json
import pathlib
import statistics
import sys
import tempfile

from common import ROOT, alternate, bench_binary, emit, note, peak_mib, run, unavailable

PEERS = ROOT / "scripts" / "bench" / "peers"
# Candles of each of five pairs: 20,110 windows to train on, and 30,000.
CANDLES, MORE_CANDLES = 5200, 7673
THREADS = 2


def main():
    model = bench_binary("model")
    with tempfile.TemporaryDirectory(prefix="aifx-bench.") as folder:
        n = json.loads(run([model, "prepare", folder, CANDLES]))["train"]
        for batch, must_torch, must_keras in [(32, 1.05, 2.0), (256, 1.3, 1.2)]:
            ours_losses, peer_losses = [], []

            def ours():
                answer = json.loads(run([model, "fit", CANDLES, batch, THREADS, 2]))
                ours_losses.append(answer["validation_loss"])
                return statistics.median(answer["samples_per_s"])

            def peer(name):
                command = [sys.executable, PEERS / name, "fit", folder, batch, THREADS, 2]
                answer = json.loads(run(command))
                peer_losses.append(answer.get("validation_loss"))
                return statistics.median(answer["samples_per_s"])

            try:
                left, right = alternate(ours, lambda: peer("torch_model.py"))
            except Exception as error:
                unavailable(f"training_batch_{batch}", "PyTorch", error)
            else:
                gap = abs(statistics.mean(l[-1] for l in ours_losses) - statistics.mean(l[-1] for l in peer_losses))
                if gap > 0.02:
                    raise SystemExit(f"error: validation losses differ: {ours_losses} and {peer_losses}")
                emit(f"training_batch_{batch}", "samples/s", left, right, "PyTorch", must_torch,
                     1.2 if batch == 32 else 1.5, threads=THREADS,
                     checked=f"{n} windows, validation loss after two epochs within {gap:.4f} nats")  # fmt: skip
            try:
                left, right = alternate(ours, lambda: peer("keras_model.py"))
            except Exception as error:
                unavailable(f"training_batch_{batch}_keras", "Keras on TensorFlow", error)
            else:
                emit(f"training_batch_{batch}_keras", "samples/s", left, right, "Keras on TensorFlow", must_keras,
                     2.4 if batch == 32 else None, threads=THREADS, checked=f"{n} windows, same sizes of network")  # fmt: skip
        _, few = peak_mib([model, "fit", CANDLES, 32, THREADS, 1])
        _, many = peak_mib([model, "fit", MORE_CANDLES, 32, THREADS, 1])
        try:
            _, peer_few = peak_mib([sys.executable, PEERS / "torch_model.py", "fit", folder, 32, THREADS, 1])
        except BaseException as error:
            unavailable("training_memory", "PyTorch", error)
        else:
            emit("training_memory", "MiB", [few], [peer_few], "PyTorch", 0.5, None, "lower", THREADS,
                 f"{n} windows, peak of the whole process", stretch_mib=300)  # fmt: skip
        emit("training_memory_added", "MiB", [many - few], None, None, None, None, "lower", THREADS,
             "10,000 windows more, simulating and featurising them included", goal_mib=4)  # fmt: skip
    note("training: steps only; validation and the first step are outside the clock on all sides")


if __name__ == "__main__":
    sys.exit(main())
