//! [`Workers`]: one-thread replicas of the network that share its weights.
//!
//! Each replica has leaf tensors of its own over the same memory, so that gradients do not meet; the optimiser changes the
//! memory between steps, while all replicas wait.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread::Scope,
};

use tch::{Kind, Reduction, Tensor};

use crate::{
    inference::WindowTensor,
    nn::{self, Dropout, Network, ParameterSpec},
};

/// A piece of a step.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    /// Last rows of the windows.
    pub(super) rows: Vec<u32>,
    /// Their classes.
    pub(super) classes: Vec<i64>,
    /// How much each counts; empty: all alike.
    pub(super) weights: Vec<f32>,
    /// Of the run.
    pub(super) seed: u64,
    /// Of this piece.
    pub(super) stream: u64,
}

/// One replica.
pub(super) struct Replica<'a> {
    network: &'a dyn Network,
    windows: WindowTensor,
    leaves: Vec<Tensor>,
    class_weights: Tensor,
    n_classes: i64,
}

/// Loss (a share of the step's), samples right, gradient.
type Gradient = (f64, usize, Tensor);

impl<'a> Replica<'a> {
    pub(super) fn new(
        network: &'a dyn Network,
        windows: &WindowTensor,
        flat: &Tensor,
        parameters: &[ParameterSpec],
        class_weights: &[f64],
    ) -> Self {
        let leaves = nn::views(flat, parameters)
            .iter()
            .map(|view| view.detach().set_requires_grad(true))
            .collect();
        let weights =
            Tensor::from_slice(class_weights).to_kind(Kind::Float).to_device(flat.device());
        Replica {
            network,
            windows: windows.share(),
            leaves,
            class_weights: weights,
            n_classes: class_weights.len() as i64,
        }
    }

    fn gradient(&self, chunk: &Chunk, batch_weight: f64) -> Gradient {
        let x = self.windows.batch(&chunk.rows);
        let y = Tensor::from_slice(&chunk.classes).to_device(x.device());
        let mut dropout = Dropout::new(chunk.seed, chunk.stream);
        let logits = self.network.forward(&self.leaves, &x, Some(&mut dropout));
        let cross_entropy = |reduction| {
            logits.cross_entropy_loss(&y, Some(&self.class_weights), reduction, -100, 0.0)
        };
        let sum = if chunk.weights.is_empty() {
            cross_entropy(Reduction::Sum)
        } else {
            let weights = Tensor::from_slice(&chunk.weights).to_device(x.device());
            cross_entropy(Reduction::None).dot(&weights)
        };
        let loss = sum / batch_weight;
        // As the market has them: without the weights that training gives rare classes.
        let adjusted = logits.detach() - self.class_weights.log();
        let right = adjusted.argmax(1, false).eq_tensor(&y).sum(Kind::Int64).int64_value(&[]);
        let gradients = Tensor::run_backward(&[&loss], &self.leaves, false, false);
        let flat: Vec<Tensor> = gradients.iter().map(|gradient| gradient.reshape([-1])).collect();
        (loss.double_value(&[]), usize::try_from(right).unwrap_or(0), Tensor::cat(&flat, 0))
    }

    fn logits(&self, rows: &[u32]) -> Vec<f32> {
        tch::no_grad(|| self.windows.logits(self.network, &self.leaves, self.n_classes, rows))
    }
}

enum Work {
    Gradient(Vec<(usize, Chunk)>, f64),
    Logits(Vec<u32>),
}

enum Answer {
    Gradient(Vec<(usize, Gradient)>),
    Logits(Vec<f32>),
}

/// The caller's own replica and those in threads beside it.
pub(super) struct Workers<'a> {
    own: Replica<'a>,
    others: Vec<(Sender<Work>, Receiver<Answer>)>,
}

impl<'a> Workers<'a> {
    /// Starts `threads - 1` threads that end when the workers are dropped.
    pub(super) fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        threads: usize,
        replica: impl Fn() -> Replica<'a>,
    ) -> Self
    where
        'a: 'scope,
    {
        let others = (1..threads)
            .map(|_| {
                let (work_in, work_out) = channel::<Work>();
                let (answer_in, answer_out) = channel();
                let replica = replica();
                scope.spawn(move || {
                    for work in work_out {
                        let answer = match work {
                            Work::Gradient(chunks, weight) => Answer::Gradient(
                                chunks
                                    .iter()
                                    .map(|(i, chunk)| (*i, replica.gradient(chunk, weight)))
                                    .collect(),
                            ),
                            Work::Logits(rows) => Answer::Logits(replica.logits(&rows)),
                        };
                        if answer_in.send(answer).is_err() {
                            break;
                        }
                    }
                });
                (work_in, answer_out)
            })
            .collect();
        Workers { own: replica(), others }
    }

    /// The gradient of a step: pieces computed side by side, summed in their order whoever computed them.
    pub(super) fn gradient(&mut self, chunks: Vec<Chunk>, batch_weight: f64) -> Gradient {
        let n_threads = self.others.len() + 1;
        let mut piles: Vec<Vec<(usize, Chunk)>> = (0..n_threads).map(|_| Vec::new()).collect();
        for (index, chunk) in chunks.into_iter().enumerate() {
            piles[index % n_threads].push((index, chunk));
        }
        let own = piles.swap_remove(0);
        // swap_remove moved the last pile to the front: which thread takes which does not matter, the order of sums does.
        for ((sender, _), pile) in self.others.iter().zip(piles) {
            sender
                .send(Work::Gradient(pile, batch_weight))
                .expect("a worker lives as long as the workers");
        }
        let mut all: Vec<(usize, Gradient)> =
            own.iter().map(|(i, chunk)| (*i, self.own.gradient(chunk, batch_weight))).collect();
        for (_, receiver) in &self.others {
            if let Ok(Answer::Gradient(gradients)) = receiver.recv() {
                all.extend(gradients);
            }
        }
        all.sort_by_key(|(index, _)| *index);
        let mut all = all.into_iter().map(|(_, gradient)| gradient);
        let (mut loss, mut right, mut sum) = all.next().expect("a step has samples");
        for (more_loss, more_right, gradient) in all {
            loss += more_loss;
            right += more_right;
            let _ = sum.g_add_(&gradient);
        }
        (loss, right, sum)
    }

    /// Logits of windows, `[n, classes]` row-major, each thread a piece.
    pub(super) fn logits(&mut self, rows: &[u32]) -> Vec<f32> {
        let n_threads = self.others.len() + 1;
        let size = rows.len().div_ceil(n_threads).max(1);
        let mut pieces = rows.chunks(size);
        let own = pieces.next().unwrap_or(&[]);
        let busy: Vec<_> = self.others.iter().zip(pieces).collect();
        for ((sender, _), piece) in &busy {
            sender
                .send(Work::Logits(piece.to_vec()))
                .expect("a worker lives as long as the workers");
        }
        let mut logits = self.own.logits(own);
        for ((_, receiver), _) in &busy {
            if let Ok(Answer::Logits(more)) = receiver.recv() {
                logits.extend(more);
            }
        }
        logits
    }
}
