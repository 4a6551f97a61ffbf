//! `aifx`: parse, run, exit status. Commands that touch a model are handed to `aifx-model`, which links LibTorch.

fn main() {}
