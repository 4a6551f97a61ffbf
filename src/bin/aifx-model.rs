//! `aifx-model`: the same commands with LibTorch linked in. Users type `aifx`; it executes this where needed.

fn main() {}
