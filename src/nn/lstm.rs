//! The reference model: stacked LSTMs, the last step into a dense layer with ReLU, then the classes (DESIGN 9).

use tch::Tensor;

use super::{Dropout, Network, ParameterSpec, Shape};

/// LSTM → dropout → … → LSTM, last step → dropout → dense, ReLU → dropout → classes.
pub(super) struct LstmNetwork {
    hidden: Vec<i64>,
    dense: i64,
    dropout: Vec<f64>,
    shape: Shape,
}

impl LstmNetwork {
    pub(super) fn new(hidden: Vec<i64>, dense: i64, dropout: Vec<f64>, shape: Shape) -> Self {
        LstmNetwork { hidden, dense, dropout, shape }
    }
}

fn parameter(name: String, shape: &[i64], fan: i64) -> ParameterSpec {
    ParameterSpec { name, shape: shape.to_vec(), bound: 1.0 / (fan as f64).sqrt() }
}

impl Network for LstmNetwork {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let mut list = Vec::new();
        let mut input = self.shape.n_features;
        for (layer, &units) in self.hidden.iter().enumerate() {
            let name = |what: &str| format!("lstm{layer}.{what}_l0");
            list.push(parameter(name("weight_ih"), &[4 * units, input], units));
            list.push(parameter(name("weight_hh"), &[4 * units, units], units));
            list.push(parameter(name("bias_ih"), &[4 * units], units));
            list.push(parameter(name("bias_hh"), &[4 * units], units));
            input = units;
        }
        list.push(parameter("dense.weight".into(), &[self.dense, input], input));
        list.push(parameter("dense.bias".into(), &[self.dense], input));
        list.push(parameter("out.weight".into(), &[self.shape.n_classes, self.dense], self.dense));
        list.push(parameter("out.bias".into(), &[self.shape.n_classes], self.dense));
        list
    }

    fn forward(
        &self,
        parameters: &[Tensor],
        windows: &Tensor,
        mut dropout: Option<&mut Dropout>,
    ) -> Tensor {
        let mut drop = |values: Tensor, p: f64| match dropout.as_deref_mut() {
            Some(dropout) => dropout.apply(&values, p),
            None => values,
        };
        let training = parameters.first().is_some_and(Tensor::requires_grad);
        let mut steps = windows.shallow_clone();
        for (layer, &units) in self.hidden.iter().enumerate() {
            // Made from the input, so that a traced network takes any batch (LibTorch does not check the state's).
            let zero =
                steps.select(1, 0).narrow(1, 0, 1).zeros_like().repeat([1, units]).unsqueeze(0);
            let weights = &parameters[4 * layer..4 * layer + 4];
            let (output, _, _) = steps.lstm(
                &[zero.shallow_clone(), zero],
                weights,
                true,
                1,
                0.0,
                training,
                false,
                true,
            );
            let last = layer + 1 == self.hidden.len();
            let output = if last { output.select(1, -1) } else { output };
            steps = drop(output, self.dropout[layer]);
        }
        let [dense_weight, dense_bias, out_weight, out_bias] = &parameters[4 * self.hidden.len()..]
        else {
            unreachable!("the list of parameters ends with two layers")
        };
        let dense = steps.linear(dense_weight, Some(dense_bias)).relu();
        let dense = drop(dense, self.dropout[self.hidden.len()]);
        dense.linear(out_weight, Some(out_bias))
    }
}
