"""The reference network in Keras as its users write it: `keras_model.py fit FOLDER BATCH THREADS EPOCHS`,
`keras_model.py single FOLDER CALLS`. One JSON line comes out."""

import json
import os
import pathlib
import sys
import time

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
import tensorflow as tf

LOOKBACK, FEATURES = 60, 38


def part(folder, name):
    values = np.fromfile(folder / "values.f32", dtype=np.float32).reshape(-1, FEATURES)
    rows = np.fromfile(folder / f"{name}.rows.u32", dtype=np.uint32).astype(np.int64)
    classes = np.fromfile(folder / f"{name}.classes.u8", dtype=np.uint8).astype(np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(values, LOOKBACK, axis=0)[rows + 1 - LOOKBACK]
    return np.ascontiguousarray(windows.transpose(0, 2, 1)), classes


def network():
    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential([
        layers.Input((LOOKBACK, FEATURES)),
        layers.LSTM(128, return_sequences=True), layers.Dropout(0.3),
        layers.LSTM(64), layers.Dropout(0.3),
        layers.Dense(32, activation="relu"), layers.Dropout(0.2),
        layers.Dense(3),
    ])  # fmt: skip


class Clock(keras.callbacks.Callback):
    """Seconds of each epoch's steps, without the first step and without validation."""

    def __init__(self):
        super().__init__()
        self.start, self.seconds = None, []

    def on_train_batch_end(self, batch, logs=None):
        self.last = time.perf_counter()
        if batch == 0:
            self.start = self.last

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(self.last - self.start)


def fit(folder, batch, threads, epochs):
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    x, y = part(folder, "train")
    net, clock = network(), Clock()
    net.compile(optimizer=keras.optimizers.Adam(1e-3, clipnorm=1.0),
                loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))  # fmt: skip
    counts = np.bincount(y, minlength=3)
    weights = {k: len(y) / (3 * counts[k]) for k in range(3)}
    net.fit(x, y, batch_size=batch, epochs=epochs, class_weight=weights, verbose=0, callbacks=[clock])
    return {"samples_per_s": [(len(y) - batch) / s for s in clock.seconds]}


def single(folder, calls):
    x, _ = part(folder, "train")
    net = network()
    seconds = []
    for i in range(calls + 10):
        start = time.perf_counter()
        net.predict(x[i % len(x)][None], verbose=0)
        if i >= 10:
            seconds.append(time.perf_counter() - start)
    seconds.sort()
    return {"p50_ms": 1e3 * seconds[calls // 2], "p99_ms": 1e3 * seconds[calls * 99 // 100]}


if __name__ == "__main__":
    command, folder, *rest = sys.argv[1:]
    print(json.dumps({"fit": fit, "single": single}[command](pathlib.Path(folder), *map(int, rest))))
