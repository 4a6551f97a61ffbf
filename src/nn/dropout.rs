//! [`Dropout`]: masks from a generator of our own, so that threads and their order cannot change a seeded run.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};

/// The masks of one micro-batch of one step.
#[derive(Debug)]
pub struct Dropout {
    rng: ChaCha8Rng,
    bytes: Vec<u8>,
}

impl Dropout {
    /// The masks of micro-batch `stream` of a run with `seed`; the caller counts streams up and uses none twice.
    pub fn new(seed: u64, stream: u64) -> Dropout {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Dropout { rng, bytes: Vec::new() }
    }

    /// `values` with a share `p` of them zero and the others scaled by 1/(1 - p), so that the mean stays.
    pub fn apply(&mut self, values: &Tensor, p: f64) -> Tensor {
        if p <= 0.0 {
            return values.shallow_clone();
        }
        let shape = values.size();
        let n = shape.iter().product::<i64>() as usize;
        self.bytes.resize(n * 2, 0);
        self.rng.fill_bytes(&mut self.bytes);
        // 16 bits a value: p is met to 1 in 65,536.
        let limit = (p * 65_536.0) as u16;
        let kept = (1.0 / (1.0 - p)) as f32;
        let mask: Vec<f32> = self
            .bytes
            .chunks_exact(2)
            .map(|pair| if u16::from_le_bytes([pair[0], pair[1]]) < limit { 0.0 } else { kept })
            .collect();
        let mask = Tensor::from_slice(&mask).view(shape.as_slice());
        let mask =
            if values.device() == Device::Cpu { mask } else { mask.to_device(values.device()) };
        values * mask
    }
}
